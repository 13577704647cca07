//! The names that a message lists.

/// More are no help.
const LISTED: usize = 20;

/// The first of many names, separated by commas.
pub(crate) fn some_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.into_iter().take(LISTED + 1).collect();
    if names.len() > LISTED {
        names[LISTED] = "…";
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::some_of;

    #[test]
    fn of_many_only_the_first_are_listed() {
        assert_eq!(some_of(["a", "b"]), "a, b");
        assert_eq!(some_of([]), "");
        let many = vec!["x"; 10_000];
        assert_eq!(some_of(many), "x, ".repeat(20) + "…");
    }
}
