//! Numbers with the word for what they count.

/// `1 check`, `3 checks`.
pub(crate) fn plural(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::plural;

    #[test]
    fn one_is_one() {
        assert_eq!([0, 1, 2].map(|count| plural(count, "run")), ["0 runs", "1 run", "2 runs"]);
    }
}
