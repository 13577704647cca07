//! What each diagnostic means, from the page that is written about them.

/// The page.
const PAGE: &str = include_str!("../../docs/diagnostics.md");

/// A diagnostic of the page.
struct Section {
    code: &'static str,
    text: &'static str,
}

fn sections() -> impl Iterator<Item = Section> {
    PAGE.split("\n## `").skip(1).filter_map(|section| {
        let (code, text) = section.split_once("`\n")?;
        Some(Section { code, text: text.trim() })
    })
}

/// The codes that are explained, in order.
pub fn codes() -> impl Iterator<Item = &'static str> {
    sections().map(|section| section.code)
}

/// What a code means, with an example and how to mend it, for the terminal; none where there is no such code.
pub fn explain(code: &str) -> Option<String> {
    let section = sections().find(|section| section.code == code)?;
    let mut lines = vec![section.code.to_owned(), String::new()];
    let mut fenced = false;
    for line in section.text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            lines.push(format!("    {line}").trim_end().to_owned());
        } else {
            lines.push(line.replace("**", ""));
        }
    }
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_explained_with_example_and_remedy() {
        let text = explain("unknown-verb").expect("a code");
        assert!(text.starts_with("unknown-verb\n\n"), "{text}");
        assert!(text.contains("\nMend it. ") && text.contains("\n      - prodcue:"), "{text}");
        assert!(text.contains("    error[unknown-verb]: ") && !text.contains("```"), "{text}");
        assert_eq!(explain("no-such-code"), None);
        assert!(codes().count() > 130 && codes().is_sorted());
    }
}
