//! JSON that somebody else may have written: a byte of it can become a hundred in memory, so its values are counted before it is read.

use serde::de::DeserializeOwned;
use std::fmt;

/// Why JSON is not read.
#[derive(Debug)]
pub enum JsonError {
    /// It has more values than this.
    TooMany(usize),
    /// It is cut off.
    Truncated,
    /// It is none, or not of the right form.
    Wrong(serde_json::Error),
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany(most) => write!(f, "it has more than {most} values"),
            Self::Truncated => f.write_str("it is truncated"),
            Self::Wrong(error) => write!(f, "it is not JSON: {error}"),
        }
    }
}

impl std::error::Error for JsonError {}

/// Reads JSON of at most `most` values. What is nested deeper than 128 levels is refused, too.
///
/// # Errors
/// See [`JsonError`].
pub fn read<T: DeserializeOwned>(bytes: &[u8], most: usize) -> Result<T, JsonError> {
    if values(bytes) > most {
        return Err(JsonError::TooMany(most));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| if error.is_eof() { JsonError::Truncated } else { JsonError::Wrong(error) })
}

/// No fewer values than a text of JSON has: each but the first stands behind a comma or at the beginning of a list or an object.
pub fn values(bytes: &[u8]) -> usize {
    let mut values = Values::default();
    values.take(bytes);
    values.count()
}

/// The same of a text that comes in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Values {
    behind: usize,
    quoted: bool,
    escaped: bool,
}

impl Values {
    /// The next piece.
    pub fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = self.quoted,
                b'"' => self.quoted = !self.quoted,
                b',' | b'[' | b'{' if !self.quoted => self.behind += 1,
                _ => {}
            }
        }
    }

    /// No fewer values than there were until now.
    pub fn count(&self) -> usize {
        self.behind + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn values_are_counted_outside_of_texts() {
        assert_eq!(values(br#"{"a":[1,2,{"b":"x,[{\",[\\"}],"c":null}"#), 7);
        assert_eq!(values(b"5"), 1);
        let list = format!("[{}0]", "0,".repeat(998));
        assert!(read::<Value>(list.as_bytes(), 1000).is_ok());
        assert_eq!(
            read::<Value>(list.as_bytes(), 999).expect_err("too many").to_string(),
            "it has more than 999 values"
        );
        assert!(matches!(read::<Value>(b"[1,", 9), Err(JsonError::Truncated)));
        assert!(matches!(read::<Value>("[".repeat(200).as_bytes(), 1000), Err(JsonError::Wrong(_))), "its depth");
    }
}
