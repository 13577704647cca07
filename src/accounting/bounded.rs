//! Bounds of what is written down and read back.

use flate2::read::ZlibDecoder;
use std::io::{self, Read, Write};

/// Writes no more than so many bytes.
pub(super) struct Bounded<W> {
    inner: W,
    left: u64,
}

impl<W: Write> Bounded<W> {
    pub(super) fn new(inner: W, most: u64) -> Self {
        Self { inner, left: most }
    }

    pub(super) fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len() as u64;
        self.left = self.left.checked_sub(count).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.inner.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// What was compressed, where it is no more than so many bytes.
///
/// # Errors
/// Why it cannot be read, in words.
pub(super) fn inflated(bytes: &[u8], most: u64) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let read = ZlibDecoder::new(bytes).take(most + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
    match read as u64 > most {
        true => Err(format!("it holds more than {} MiB", most >> 20)),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    #[test]
    fn no_more_is_written_and_read_than_the_bound() {
        let mut out = Bounded::new(Vec::new(), 5);
        out.write_all(b"abcd").unwrap();
        assert_eq!(out.write_all(b"ef").unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&[b'x'; 4096]).unwrap();
        let packed = encoder.finish().unwrap();
        assert_eq!(inflated(&packed, 4096).unwrap().len(), 4096);
        assert!(inflated(&packed, 4095).unwrap_err().contains("more than"));
        assert!(inflated(&packed[..packed.len() / 2], 4096).is_err());
    }
}
