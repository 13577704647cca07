//! What a program under test prints.

use crate::ground::private;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Most bytes of lines that are kept.
const KEPT: usize = 1024 * 1024;
/// A longer line is cut into several.
const LONGEST: usize = 64 * 1024;
/// A file that has grown beyond this, and has been read, is emptied.
const LARGEST: u64 = 64 << 20;

/// The file that a program appends its output to, and the lines that it has printed in its present life.
#[derive(Debug)]
pub(super) struct ProgramOutput {
    path: PathBuf,
    file: File,
    /// How far it has been read.
    read: u64,
    lines: VecDeque<String>,
    bytes: usize,
    /// A line that has no end yet.
    open: Vec<u8>,
}

impl ProgramOutput {
    /// An empty file.
    ///
    /// # Errors
    /// It cannot be created.
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        let file = private::options().create_new(true).read(true).write(true).open(&path)?;
        Ok(Self { path, file, read: 0, lines: VecDeque::new(), bytes: 0, open: Vec::new() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A new life begins: what was printed before is no line of it.
    pub(super) fn begin(&mut self) {
        self.look();
        self.lines.clear();
        self.bytes = 0;
        self.open.clear();
    }

    /// Takes what has been printed meanwhile.
    pub(super) fn look(&mut self) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length) = self.more(&mut buffer)
            && length > 0
        {
            self.read += length as u64;
            buffer[..length].iter().for_each(|byte| self.take(*byte));
        }
        // The program appends, so it goes on at the new end.
        if self.read > LARGEST && self.file.set_len(0).is_ok() {
            self.read = 0;
        }
    }

    fn more(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.seek(SeekFrom::Start(self.read))?;
        self.file.read(buffer)
    }

    fn take(&mut self, byte: u8) {
        if byte != b'\n' {
            self.open.push(byte);
        }
        if byte == b'\n' || self.open.len() >= LONGEST {
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.open)).into_owned();
            self.bytes += line.len() + 1;
            self.lines.push_back(line);
            while self.bytes > KEPT
                && let Some(first) = self.lines.pop_front()
            {
                self.bytes -= first.len() + 1;
            }
        }
    }

    /// Whether one of the lines contains the text; one that has no end yet counts, too.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text)) || String::from_utf8_lossy(&self.open).contains(text)
    }

    /// The lines.
    pub(super) fn text(&self) -> String {
        let open = String::from_utf8_lossy(&self.open);
        self.lines.iter().map(String::as_str).chain([open.as_ref()]).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn lines_are_those_of_the_present_life_and_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut output = ProgramOutput::create(folder.path().join("log")).expect("a file");
        let mode = output.path().metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it may hold secrets");
        let mut program = OpenOptions::new().append(true).open(output.path()).expect("its file");
        program.write_all(b"ready\nhalf a li").expect("written");
        output.look();
        assert!(output.contains("ready") && output.contains("half a li") && !output.contains("half a line"));
        program.write_all(b"ne\n\xff\n").expect("written");
        output.look();
        assert_eq!(output.text(), "ready\nhalf a line\n\u{fffd}\n");
        output.begin();
        assert!(!output.contains("ready"));
        let line = [b'x'; 1000];
        for _ in 0..3000 {
            program.write_all(&line).and_then(|()| program.write_all(b"\n")).expect("written");
        }
        program.write_all(b"last\n").expect("written");
        output.look();
        assert!(output.contains("last") && output.text().len() <= KEPT);
        program.write_all(&vec![b'y'; 3 * LONGEST]).expect("written");
        output.look();
        assert!(output.open.len() < LONGEST, "a line without end is cut");
    }
}
