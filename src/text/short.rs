//! A text of which only the beginning is shown, and one that is to stand on one line.

/// Stands where a text was cut. Whoever hides secrets looks before it for the beginning of one, and behind it for the end.
pub(crate) const CUT: &str = "…";

/// The words of a text on one line, with one space between them.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first `most` characters, and a mark where there are more.
pub(crate) fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}{CUT}", &text[..end]),
        None => text.to_owned(),
    }
}
