//! Payloads that are given, one after the other.

use super::source::{Number, PayloadSource, Rendered, rendered, with_room};
use super::{IdentityPlace, LoadError};
use crate::ground::input;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Most bytes of a file of payloads or of records.
pub(crate) const MOST_LINES: u64 = 128 << 20;
/// Most bytes of memory that they take: each is held on its own.
pub(super) const MOST_HELD: usize = 128 << 20;
/// What memory takes for each piece beside it.
pub(super) const PIECE: usize = 16;

/// Given payloads, over and over.
#[derive(Default)]
pub(super) struct PayloadLines {
    lines: Vec<(Vec<u8>, Rendered)>,
    held: usize,
}

impl PayloadLines {
    pub(super) fn of(lines: Vec<Vec<u8>>, asked: Option<IdentityPlace>) -> Result<Self, LoadError> {
        let mut all = Self::default();
        lines.iter().try_for_each(|line| all.add(line, asked))?;
        Ok(all)
    }

    fn add(&mut self, line: &[u8], asked: Option<IdentityPlace>) -> Result<(), LoadError> {
        let (line, place) = with_room(line, asked).ok_or_else(|| {
            LoadError::Spec(format!(
                "`identity: field` needs JSON objects; value {} is not a JSON object",
                self.lines.len() + 1
            ))
        })?;
        let rendered = rendered(&line, place);
        self.held += size_of::<(Vec<u8>, Rendered)>() + PIECE + line.len();
        if self.held > MOST_HELD {
            let most = MOST_HELD >> 20;
            return Err(LoadError::Spec(format!(
                "the values take more than {most} MiB of memory; send fewer, over and over"
            )));
        }
        self.lines.push((line, rendered));
        Ok(())
    }

    pub(super) fn read(path: &Path, asked: Option<IdentityPlace>) -> Result<Self, LoadError> {
        let failed = |error: io::Error| LoadError::File(path.to_owned(), error);
        let mut file =
            BufReader::new(input::open(path, MOST_LINES).map_err(|error| failed(error.into()))?.take(MOST_LINES));
        let (mut all, mut line) = (Self::default(), Vec::new());
        while file.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            let text = line.trim_ascii_end();
            if !text.is_empty() {
                all.add(text, asked)?;
            }
            line.clear();
        }
        if all.lines.is_empty() {
            return Err(LoadError::Spec(format!("`{}` has no lines to send", path.display())));
        }
        Ok(all)
    }
}

impl PayloadSource for PayloadLines {
    fn render(&mut self, message: Number, body: &mut Vec<u8>, _: &mut Vec<u8>) -> Rendered {
        let (line, rendered) = &self.lines[(message.index % self.lines.len() as u64) as usize];
        body.extend_from_slice(line);
        *rendered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_no_more_memory_than_they_may() {
        let mut lines = PayloadLines::default();
        let long = vec![b'x'; MOST_HELD / 4];
        let place = Some(IdentityPlace::None);
        for _ in 0..3 {
            lines.add(&long, place).expect("it fits");
        }
        assert!(lines.add(&long, place).expect_err("one too many").to_string().contains("128 MiB of memory"));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("short");
        std::fs::write(&path, "1\n".repeat(3_000_000)).expect("a file");
        assert!(PayloadLines::read(&path, place).is_err(), "a byte takes more than a byte");
        std::fs::write(&path, "1\n \n2 \r\n").expect("a file");
        let lines = PayloadLines::read(&path, place).expect("two lines").lines;
        assert_eq!(lines.iter().map(|(line, _)| line.as_slice()).collect::<Vec<_>>(), [b"1", b"2"]);
    }
}
