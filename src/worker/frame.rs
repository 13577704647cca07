//! Frames: what a stream between coordinator and worker is cut into.
//!
//! Seventeen bytes, little endian: magic (4), kind (1), number (4), length (4), CRC-32 of all but magic and itself (4); then the body.
//! Frames are numbered from 0, so that one that is missing, comes twice or comes out of order is noticed.

use std::fmt;
use std::io::{self, Read, Write};

const MAGIC: [u8; 4] = *b"kscw";
const HEADER: usize = 17;
/// The longest body.
pub(super) const MOST: usize = 64 << 20;

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// A message, as JSON.
    Control,
    /// What has happened, packed.
    Delta,
}

impl FrameKind {
    fn of(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Control),
            2 => Some(Self::Delta),
            _ => None,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Control => 1,
            Self::Delta => 2,
        }
    }
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: FrameKind,
    pub(super) body: Vec<u8>,
}

/// Why a stream cannot be read any further.
#[derive(Debug)]
pub enum FrameError {
    /// It cannot be read.
    Io(io::Error),
    /// It ended within a frame.
    Cut,
    /// What stands there is no frame.
    Foreign,
    /// A frame would be longer than any is.
    Huge(usize),
    /// A frame is not as it was written.
    Damaged,
    /// A frame of another number was expected.
    OutOfOrder {
        /// The number that was expected.
        expected: u32,
        /// The number that came.
        found: u32,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "its stream cannot be read: {error}"),
            Self::Cut => f.write_str("its stream ended in the middle of a frame"),
            Self::Foreign => f.write_str("its stream holds something that is no frame"),
            Self::Huge(length) => {
                write!(f, "its stream announces a frame of {length} bytes, and the longest has {MOST}")
            }
            Self::Damaged => f.write_str("a frame of its stream is damaged"),
            Self::OutOfOrder { expected, found } => {
                write!(f, "its stream has frame {found} where frame {expected} is due: one is missing or comes twice")
            }
        }
    }
}

impl std::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// Writes frames.
pub(super) struct FrameWriter<W> {
    inner: W,
    next: u32,
}

impl<W: Write> FrameWriter<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, next: 0 }
    }

    /// Writes a frame, all of it; how many bytes that took.
    pub(super) fn write(&mut self, kind: FrameKind, body: &[u8]) -> io::Result<usize> {
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "a frame is too long");
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MOST).ok_or_else(too_long)?;
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.push(kind.code());
        bytes.extend_from_slice(&self.next.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        let crc = sum(&bytes[4..], body);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(body);
        self.next = self.next.wrapping_add(1);
        self.inner.write_all(&bytes)?;
        self.inner.flush()?;
        Ok(bytes.len())
    }
}

#[cfg(test)]
impl FrameWriter<Vec<u8>> {
    /// Everything so far.
    pub(super) fn written(&self) -> &[u8] {
        &self.inner
    }

    /// How many frames that are.
    pub(super) fn number(&self) -> u32 {
        self.next
    }
}

fn sum(head: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(body);
    hasher.finalize()
}

/// Reads frames.
pub(super) struct FrameReader<R> {
    inner: R,
    next: u32,
}

impl<R: Read> FrameReader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, next: 0 }
    }

    /// In the middle of a stream.
    #[cfg(test)]
    pub(super) fn from(inner: R, next: u32) -> Self {
        Self { inner, next }
    }

    /// Reads the next frame; `None` at the end of the stream.
    pub(super) fn read(&mut self) -> Result<Option<Frame>, FrameError> {
        let mut header = [0; HEADER];
        match fill(&mut self.inner, &mut header)? {
            0 => return Ok(None),
            read if read >= MAGIC.len() && header[..4] != MAGIC => return Err(FrameError::Foreign),
            HEADER => {}
            _ => return Err(FrameError::Cut),
        }
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (found, length, crc) = (number(5), number(9) as usize, number(13));
        if length > MOST {
            return Err(FrameError::Huge(length));
        }
        // Whoever announces much and sends little takes no memory.
        let mut body = Vec::new();
        let read = self.inner.by_ref().take(length as u64).read_to_end(&mut body).map_err(FrameError::Io)?;
        if read < length {
            return Err(FrameError::Cut);
        }
        if sum(&header[4..13], &body) != crc {
            return Err(FrameError::Damaged);
        }
        let kind = FrameKind::of(header[4]).ok_or(FrameError::Foreign)?;
        let expected = self.next;
        if found != expected {
            return Err(FrameError::OutOfOrder { expected, found });
        }
        self.next = self.next.wrapping_add(1);
        Ok(Some(Frame { kind, body }))
    }
}

/// Reads as much as there is room for; less only at the end of the stream.
fn fill(from: &mut impl Read, into: &mut [u8]) -> Result<usize, FrameError> {
    let mut read = 0;
    while read < into.len() {
        match from.read(&mut into[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FrameError::Io(error)),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bodies: &[&[u8]]) -> Vec<u8> {
        let mut writer = FrameWriter::new(Vec::new());
        for body in bodies {
            writer.write(FrameKind::Control, body).expect("memory takes it");
        }
        writer.inner
    }

    fn read(bytes: &[u8]) -> (usize, Option<FrameError>) {
        let mut reader = FrameReader::new(bytes);
        let mut read = 0;
        loop {
            match reader.read() {
                Ok(Some(_)) => read += 1,
                Ok(None) => return (read, None),
                Err(error) => return (read, Some(error)),
            }
        }
    }

    #[test]
    fn frames_come_back_as_they_were() {
        let mut writer = FrameWriter::new(Vec::new());
        writer.write(FrameKind::Control, b"a").expect("memory takes it");
        writer.write(FrameKind::Delta, &[7; 100_000]).expect("memory takes it");
        writer.write(FrameKind::Control, b"").expect("memory takes it");
        let mut reader = FrameReader::new(writer.inner.as_slice());
        let mut next = || reader.read().expect("a frame").expect("one more");
        assert_eq!(next(), Frame { kind: FrameKind::Control, body: b"a".to_vec() });
        assert_eq!(next(), Frame { kind: FrameKind::Delta, body: vec![7; 100_000] });
        assert_eq!(next().body, b"");
        assert!(reader.read().expect("no error").is_none());
    }

    #[test]
    fn a_stream_that_is_cut_anywhere_is_cut() {
        let bytes = frames(&[b"first", b"second"]);
        let first = HEADER + 5;
        for length in 0..bytes.len() {
            let (whole, error) = read(&bytes[..length]);
            assert_eq!(whole, usize::from(length >= first), "{length}");
            match length {
                0 => assert!(error.is_none()),
                _ if length == first => assert!(error.is_none()),
                _ => assert!(matches!(error, Some(FrameError::Cut)), "{length}: {error:?}"),
            }
        }
    }

    #[test]
    fn a_frame_that_is_huge_foreign_or_damaged_is_refused() {
        let mut huge = frames(&[b"x"]);
        huge[9..13].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(read(&huge), (0, Some(FrameError::Huge(_)))));
        assert!(matches!(read(b"Warning: something\n"), (0, Some(FrameError::Foreign))), "a banner of ssh");
        assert!(matches!(read(b"Warn"), (0, Some(FrameError::Foreign))));
        let bytes = frames(&[b"payload"]);
        for at in 4..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let (whole, error) = read(&damaged);
            assert!(whole == 0 && error.is_some(), "byte {at}");
        }
        let mut unknown = FrameWriter::new(Vec::new());
        unknown.write(FrameKind::Control, b"x").expect("memory takes it");
        let mut unknown = unknown.inner;
        unknown[4] = 9;
        let crc = sum(&unknown[4..13], b"x");
        unknown[13..17].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(read(&unknown), (0, Some(FrameError::Foreign))), "a kind that nobody knows");
    }

    #[test]
    fn a_frame_that_comes_twice_or_is_missing_is_noticed() {
        let bytes = frames(&[b"one", b"two", b"six"]);
        let length = HEADER + 3;
        let of = |numbers: &[usize]| -> Vec<u8> {
            numbers.iter().flat_map(|number| bytes[number * length..][..length].to_vec()).collect()
        };
        assert!(matches!(read(&of(&[0, 0])), (1, Some(FrameError::OutOfOrder { expected: 1, found: 0 }))));
        assert!(matches!(read(&of(&[0, 2])), (1, Some(FrameError::OutOfOrder { expected: 1, found: 2 }))));
        assert!(matches!(read(&of(&[0, 2, 1])), (1, Some(FrameError::OutOfOrder { .. }))));
        assert!(matches!(read(&of(&[0, 1, 2])), (3, None)));
        assert!(FrameWriter::new(Vec::new()).write(FrameKind::Delta, &vec![0; MOST + 1]).is_err());
    }
}
