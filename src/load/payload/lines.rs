//! Payloads that are given, one after the other.

use super::source::{Number, PayloadSource, Rendered, rendered, with_room};
use super::{IdentityPlace, LoadError};
use crate::ground::input;
use std::path::Path;

/// Most bytes of a file of payloads: all of them are held in memory.
pub(crate) const MOST_LINES: u64 = 256 << 20;

/// Given payloads, over and over.
pub(super) struct Lines {
    lines: Vec<(Vec<u8>, Rendered)>,
}

impl Lines {
    pub(super) fn of(lines: Vec<Vec<u8>>, asked: Option<IdentityPlace>) -> Result<Self, LoadError> {
        let prepare = |(number, line): (usize, Vec<u8>)| {
            let (line, place) = with_room(&line, asked).ok_or_else(|| {
                LoadError::Spec(format!("`identity: field` needs JSON objects; value {} is none", number + 1))
            })?;
            let rendered = rendered(&line, place);
            Ok((line, rendered))
        };
        let lines: Result<_, LoadError> = lines.into_iter().enumerate().map(prepare).collect();
        Ok(Self { lines: lines? })
    }

    pub(super) fn read(path: &Path, asked: Option<IdentityPlace>) -> Result<Self, LoadError> {
        let content = input::read(path, MOST_LINES).map_err(|error| LoadError::File(path.to_owned(), error.into()))?;
        let lines: Vec<_> = content
            .split(|byte| *byte == b'\n')
            .map(|line| line.trim_ascii_end().to_vec())
            .filter(|line| !line.is_empty())
            .collect();
        if lines.is_empty() {
            return Err(LoadError::Spec(format!("`{}` has no lines to send", path.display())));
        }
        Self::of(lines, asked)
    }
}

impl PayloadSource for Lines {
    fn render(&mut self, message: Number, body: &mut Vec<u8>, _: &mut Vec<u8>) -> Rendered {
        let (line, rendered) = &self.lines[(message.index % self.lines.len() as u64) as usize];
        body.extend_from_slice(line);
        *rendered
    }
}
