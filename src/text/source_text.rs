use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A stretch of a text in bytes: `start` is inside, `end` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

/// A text with the name it is shown under.
#[derive(Debug)]
pub struct SourceText {
    /// The file as its user named it.
    pub name: PathBuf,
    /// Its content without a byte order mark.
    pub text: String,
    /// Whether messages may show lines of it: those of a file that may hold anything, secrets too, they may not.
    pub shown: bool,
    line_starts: Vec<usize>,
}

impl SourceText {
    /// A text under a name.
    pub fn new(name: PathBuf, text: String) -> Self {
        let line_starts =
            std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect();
        Self { name, text, shown: true, line_starts }
    }

    /// A text of which nothing is shown but the places in it.
    pub fn unshown(name: PathBuf, text: String) -> Self {
        Self { shown: false, ..Self::new(name, text) }
    }

    /// The same with another text of the same length where `text` gives one.
    pub fn with(self: &Arc<Self>, text: &dyn Fn(&str) -> Cow<'_, str>) -> Arc<Self> {
        match text(&self.text) {
            Cow::Borrowed(_) => Arc::clone(self),
            Cow::Owned(text) => Arc::new(Self { shown: self.shown, ..Self::new(self.name.clone(), text) }),
        }
    }

    /// Line and column of a byte offset, both counted from 1, the column in characters. An offset past the end is the end.
    pub fn line_col(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.line_starts.partition_point(|&start| start <= offset);
        let start = self.line_starts[line - 1];
        (line, self.text[start..offset].chars().count() + 1)
    }

    /// The bytes of a line counted from 1, without its line break. A line past the end is the empty end.
    pub fn line_range(&self, line: usize) -> Range<usize> {
        let end_of_text = self.text.len();
        let start = match line.checked_sub(1).and_then(|at| self.line_starts.get(at)) {
            Some(&start) => start,
            None => return end_of_text..end_of_text,
        };
        let end = self.line_starts.get(line).map_or(end_of_text, |&next| next - 1);
        let end = if self.text[start..end].ends_with('\r') { end - 1 } else { end };
        start..end
    }

    /// The byte offset of a line and a column, both counted from 1; the nearest one where there is none.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let range = self.line_range(line);
        self.text[range.clone()]
            .char_indices()
            .nth(column.saturating_sub(1))
            .map_or(range.end, |(at, _)| range.start + at)
    }

    /// The text of a stretch.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = SourceText::new("t".into(), "a: é✓x\r\n\nz".to_owned());
        let x = text.text.find('x').expect("it is there");
        assert_eq!(text.line_col(x), (1, 6));
        assert_eq!(text.offset(1, 6), x);
        assert_eq!(text.line_col(text.text.len()), (3, 2));
        assert_eq!(text.line_col(999), (3, 2));
        assert_eq!(&text.text[text.line_range(1)], "a: é✓x");
        assert_eq!(text.line_range(2).len(), 0);
        assert_eq!(text.line_range(9), 13..13);
    }
}
