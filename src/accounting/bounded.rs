//! Bounds of what is written down and read back.

use crate::ground::json;
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

/// JSON that was compressed, as it is read: neither its text nor more than so many values are ever in memory.
pub(super) struct Unpacked<R> {
    inner: R,
    bytes: u64,
    most_bytes: u64,
    values: json::Values,
    most_values: usize,
}

impl<'a> Unpacked<ZlibDecoder<&'a [u8]>> {
    pub(super) fn new(packed: &'a [u8], most_bytes: u64, most_values: usize) -> Self {
        Self { inner: ZlibDecoder::new(packed), bytes: 0, most_bytes, values: json::Values::default(), most_values }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.bytes += count as u64;
        self.values.take(&into[..count]);
        if self.bytes > self.most_bytes {
            return Err(io::Error::other(format!("it holds more than {} MiB", self.most_bytes >> 20)));
        }
        if self.values.count() > self.most_values {
            return Err(io::Error::other(format!("it has more than {} values", self.most_values)));
        }
        Ok(count)
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

    #[test]
    fn values_and_bytes_are_counted_while_they_are_unpacked() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(format!("[{}0]", "0,".repeat(998)).as_bytes()).unwrap();
        let packed = encoder.finish().unwrap();
        let read = |bytes, values| {
            let mut text = Vec::new();
            // In small pieces: what was counted before one counts with it.
            io::BufReader::with_capacity(7, Unpacked::new(&packed, bytes, values)).read_to_end(&mut text)
        };
        assert_eq!(read(1999, 1000).unwrap(), 1999);
        assert_eq!(read(1999, 999).unwrap_err().to_string(), "it has more than 999 values");
        assert_eq!(read(1998, 1000).unwrap_err().to_string(), "it holds more than 0 MiB");
    }
}
