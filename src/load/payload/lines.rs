//! Payloads that are given, one after the other.

use super::{LoadError, Number, PayloadSource, Rendered, rendered, with_field};
use crate::ground::input;
use std::path::Path;

/// Most bytes of a file of payloads: all of them are held in memory.
pub(crate) const MOST_LINES: u64 = 256 << 20;

/// Given payloads, over and over.
pub(super) struct Lines {
    lines: Vec<(Vec<u8>, Rendered)>,
}

impl Lines {
    pub(super) fn of(lines: Vec<Vec<u8>>, into_json: bool) -> Self {
        let prepare = |line: Vec<u8>| {
            let with = if into_json { with_field(&line) } else { None };
            let has_field = with.is_some();
            let line = with.unwrap_or(line);
            let rendered = rendered(&line, has_field);
            (line, rendered)
        };
        Self { lines: lines.into_iter().map(prepare).collect() }
    }

    pub(super) fn read(path: &Path) -> Result<Self, LoadError> {
        let content = input::read(path, MOST_LINES).map_err(|error| LoadError::File(path.to_owned(), error.into()))?;
        let lines: Vec<_> = content
            .split(|byte| *byte == b'\n')
            .map(|line| line.trim_ascii_end().to_vec())
            .filter(|line| !line.is_empty())
            .collect();
        if lines.is_empty() {
            return Err(LoadError::Spec(format!("`{}` has no lines to send", path.display())));
        }
        Ok(Self::of(lines, true))
    }
}

impl PayloadSource for Lines {
    fn render(&mut self, message: Number, body: &mut Vec<u8>, _: &mut Vec<u8>) -> Rendered {
        let (line, rendered) = &self.lines[(message.index % self.lines.len() as u64) as usize];
        body.extend_from_slice(line);
        *rendered
    }
}
