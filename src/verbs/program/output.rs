//! What a program under test prints.

use crate::ground::private;
use nix::fcntl::{FallocateFlags, fallocate};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Most bytes of lines that are kept.
const KEPT: usize = 1024 * 1024;
/// A longer line is cut into several.
const LONGEST: usize = 64 * 1024;
/// What has been read of the file is given back to the disk each time it is so much; and what a program has written so far ahead of its
/// reader is not read at all.
const LARGEST: u64 = 64 << 20;
/// Most that is read in one look: whoever looks has others to look at.
const AT_ONCE: u64 = 4 << 20;

/// A text that somebody waits for.
#[derive(Debug)]
struct Awaited {
    text: String,
    /// Whether a line that is not kept any more contained it.
    printed: bool,
}

/// The file that a program appends its output to, and the lines that it has printed in its present life.
#[derive(Debug)]
pub(super) struct ProgramOutput {
    path: PathBuf,
    file: File,
    /// How far it has been read.
    read: u64,
    /// How far it takes no room on the disk any more.
    freed: u64,
    lines: VecDeque<String>,
    bytes: usize,
    /// A line that has no end yet.
    open: Vec<u8>,
    awaited: Vec<Awaited>,
}

impl ProgramOutput {
    /// An empty file, and texts that are looked for in all that is written to it.
    ///
    /// # Errors
    /// It cannot be created.
    pub(super) fn create(path: PathBuf, awaited: Vec<String>) -> io::Result<Self> {
        let file = private::options().create_new(true).read(true).write(true).open(&path)?;
        let (lines, open) = (VecDeque::new(), Vec::new());
        let mut output = Self { path, file, read: 0, freed: 0, lines, bytes: 0, open, awaited: Vec::new() };
        output.awaits(awaited);
        Ok(output)
    }

    /// Further texts that somebody will look for, perhaps when their lines are not kept any more.
    pub(super) fn awaits(&mut self, texts: impl IntoIterator<Item = String>) {
        self.awaited.extend(texts.into_iter().map(|text| Awaited { text, printed: false }));
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A new life begins: what was printed before is no line of it.
    pub(super) fn begin(&mut self) {
        self.read = self.written().max(self.read);
        self.lines.clear();
        self.bytes = 0;
        self.open.clear();
        self.awaited.iter_mut().for_each(|awaited| awaited.printed = false);
        self.give_back(true);
    }

    fn written(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Takes what has been printed meanwhile, or a part of it; answers whether there may be more.
    pub(super) fn look(&mut self) -> bool {
        let behind = self.written().saturating_sub(self.read);
        if behind > LARGEST {
            let unread = behind - KEPT as u64 / 2;
            self.read += unread;
            self.open.clear();
            self.keep(format!("[kscen did not read {unread} bytes: the program writes faster than that]"));
        }
        let mut buffer = vec![0; 64 * 1024];
        let end = self.read + AT_ONCE;
        while self.read < end {
            match self.more(&mut buffer) {
                Ok(length) if length > 0 => {
                    self.read += length as u64;
                    buffer[..length].iter().for_each(|byte| self.take(*byte));
                }
                _ => break,
            }
        }
        let more = self.read >= end;
        self.give_back(!more);
        more
    }

    /// Gives the room of what has been read back to the disk. The program goes on at its end of the file, wherever that is.
    fn give_back(&mut self, all_is_read: bool) {
        if self.read - self.freed <= LARGEST {
            return;
        }
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let (Ok(from), Ok(length)) = (i64::try_from(self.freed), i64::try_from(self.read - self.freed)) else { return };
        if fallocate(&self.file, hole, from, length).is_ok() {
            self.freed = self.read;
        } else if all_is_read && self.file.set_len(0).is_ok() {
            // A file system without holes.
            (self.read, self.freed) = (0, 0);
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
            self.keep(line);
        }
    }

    /// Keeps a line, and for that no longer the oldest ones.
    fn keep(&mut self, line: String) {
        self.bytes += line.len() + 1;
        self.lines.push_back(line);
        while self.bytes > KEPT
            && let Some(first) = self.lines.pop_front()
        {
            self.bytes -= first.len() + 1;
            self.awaited.iter_mut().for_each(|awaited| awaited.printed |= first.contains(&awaited.text));
        }
    }

    /// Whether one of the lines contains the text; one that has no end yet counts, too. Of lines that are not kept any more that is known of
    /// texts that somebody waits for.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.awaited.iter().any(|awaited| awaited.printed && awaited.text == text)
            || self.lines.iter().any(|line| line.contains(text))
            || String::from_utf8_lossy(&self.open).contains(text)
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
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn lines_are_those_of_the_present_life_and_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut output = ProgramOutput::create(folder.path().join("log"), Vec::new()).expect("a file");
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
        while output.look() {}
        assert!(output.contains("last") && output.text().len() <= KEPT);
        program.write_all(&vec![b'y'; 3 * LONGEST]).expect("written");
        output.look();
        assert!(output.open.len() < LONGEST, "a line without end is cut");
    }

    #[test]
    fn what_was_printed_long_ago_was_printed_and_a_flood_does_not_hold_it_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut output =
            ProgramOutput::create(folder.path().join("log"), vec!["caught up".to_owned()]).expect("a file");
        let mut program = OpenOptions::new().append(true).open(output.path()).expect("its file");
        program.write_all(b"caught up\n").and_then(|()| program.write_all(&b"y\n".repeat(4 << 20))).expect("written");
        output.look();
        assert!(output.read < 8 << 20, "one look takes a part");
        while output.look() {}
        assert!(output.contains("caught up") && !output.text().contains("caught up"));
        output.begin();
        assert!(!output.contains("caught up"), "another life");
    }

    #[test]
    fn what_is_written_faster_than_it_is_read_is_left_out_and_takes_no_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut output = ProgramOutput::create(folder.path().join("log"), Vec::new()).expect("a file");
        let mut program = OpenOptions::new().append(true).open(output.path()).expect("its file");
        program.write_all(&vec![b'x'; 1 << 20]).expect("written");
        // The rest of it is a hole, which reads as zeros.
        program.set_len(LARGEST + (2 << 20)).expect("longer");
        program.write_all(b"\nlast\n").expect("written");
        while output.look() {}
        assert!(output.contains("did not read") && output.contains("last"), "{}", output.text().len());
        let blocks = output.path().metadata().expect("there").blocks();
        assert!(blocks * 512 < 1 << 20, "{blocks} blocks of 512 bytes");
        program.write_all(b"more\n").expect("written");
        output.look();
        assert!(output.contains("more"), "it goes on at its end");
    }
}
