//! A text of which only the beginning is shown.

/// Stands where a text was cut. Whoever hides secrets looks before it for the beginning of one, and behind it for the end.
pub(crate) const CUT: &str = "…";

/// The first `most` characters, and a mark where there are more.
pub(crate) fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}{CUT}", &text[..end]),
        None => text.to_owned(),
    }
}
