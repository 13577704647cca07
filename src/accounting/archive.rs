//! `accounts.bin`: the accounts of a run beside its result.
//!
//! Twelve bytes of magic and version, the length and the CRC-32 of what follows, then JSON, compressed.

use super::Settlement;
use super::bounded::{Bounded, inflated};
use super::changes::ChangeSettlement;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::Path;

/// Name of the file in a run's folder.
pub const FILE: &str = "accounts.bin";
/// Version of the format; raised when a reader of the former one would misunderstand it.
pub const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"kscenacc";
const HEADER: usize = 24;
/// Accounts that take more, uncompressed, are not written.
const MOST: u64 = 512 << 20;

/// The accounts of a run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct StoredAccounts {
    /// The run.
    pub run: String,
    /// The version of kscen that wrote it.
    pub kscen: String,
    /// What each delivery of messages was settled from.
    pub settlements: Vec<Settlement>,
    /// What each delivery of database changes was settled from. Files of older versions have none of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeSettlement>,
}

/// Why accounts cannot be read or written.
#[derive(Debug)]
pub enum AccountsError {
    /// The file cannot be read or written.
    Io(io::Error),
    /// It is not a file of accounts.
    Foreign,
    /// It was written in another version of the format.
    Version(u32),
    /// It is not what was written.
    Damaged(String),
    /// There are more accounts than a file takes.
    TooLarge,
}

impl fmt::Display for AccountsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Foreign => f.write_str("it is not a file of accounts"),
            Self::Version(version) => {
                write!(f, "it has version {version} of the format, and this program reads version {VERSION}")
            }
            Self::Damaged(what) => write!(f, "it is damaged: {what}"),
            Self::TooLarge => write!(f, "the accounts take more than {} MiB", MOST >> 20),
        }
    }
}

impl std::error::Error for AccountsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for AccountsError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl StoredAccounts {
    /// Writes the file.
    ///
    /// # Errors
    /// Where it cannot be written, or there is more than a file takes.
    pub fn write(&self, path: &Path) -> Result<(), AccountsError> {
        let mut out = Bounded::new(ZlibEncoder::new(Vec::new(), Compression::fast()), MOST);
        if let Err(error) = serde_json::to_writer(&mut out, self) {
            return Err(match error.io_error_kind() {
                Some(io::ErrorKind::FileTooLarge) => AccountsError::TooLarge,
                _ => AccountsError::Io(error.into()),
            });
        }
        let body = out.into_inner().finish()?;
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        crate::ground::private::replace(path, |writer| writer.write_all(&bytes))?;
        Ok(())
    }

    /// Reads the file.
    ///
    /// # Errors
    /// Where it cannot be read, is not a file of accounts, of another version, or damaged.
    pub fn read(path: &Path) -> Result<Self, AccountsError> {
        let bytes = crate::ground::input::read(path, MOST).map_err(io::Error::from)?;
        let damaged = |what: &str| AccountsError::Damaged(what.to_owned());
        if bytes.len() < HEADER || &bytes[..8] != MAGIC {
            return Err(AccountsError::Foreign);
        }
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let version = number(8);
        if version != VERSION {
            return Err(AccountsError::Version(version));
        }
        let length = u64::from(number(12)) | u64::from(number(16)) << 32;
        let body = &bytes[HEADER..];
        if body.len() as u64 != length {
            return Err(damaged("its length is not that which was written"));
        }
        if crc32fast::hash(body) != number(20) {
            return Err(damaged("its checksum does not match"));
        }
        let text = inflated(body, MOST).map_err(AccountsError::Damaged)?;
        serde_json::from_slice(&text).map_err(|error| AccountsError::Damaged(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::{ReaderAccount, RunIdentity, SenderAccount, Sighting};

    fn archive() -> StoredAccounts {
        let run = RunIdentity::new(7);
        let ticket = run.register().unwrap();
        ticket.raise(100);
        let mut sender = SenderAccount::new(ticket.producer, "t");
        (sender.step, sender.sent, sender.complete) = ("load".to_owned(), 100, true);
        sender.acknowledged(0..100, 0, 0);
        let mut reader = ReaderAccount::new(run, "t", None, false);
        for sequence in (0..100).filter(|sequence| sequence % 10 != 3) {
            let identity =
                crate::accounting::Identity { nonce: 7, producer: 0, sequence, due_us: 0, body_crc: 0, warmup: false };
            reader.record(&Sighting {
                partition: 0,
                offset: sequence as i64,
                at_us: 0,
                life: 0,
                identity: Ok((identity, true)),
            });
        }
        reader.drain_to(&std::collections::BTreeMap::from([(0, 100)]));
        let settlement = Settlement { senders: vec![sender], readers: vec![reader], ..Settlement::default() };
        StoredAccounts {
            run: "r".to_owned(),
            kscen: "0".to_owned(),
            settlements: vec![settlement],
            changes: Vec::new(),
        }
    }

    #[test]
    fn what_is_read_settles_as_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let written = archive();
        written.write(&path).unwrap();
        let read = StoredAccounts::read(&path).unwrap();
        let report = read.settlements[0].report();
        assert_eq!(report, written.settlements[0].report());
        assert_eq!((report.acked, report.count(crate::accounting::Class::Lost)), (100, 10));
        assert!(report.sheet.imbalance().is_none());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        archive().write(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, damaged).unwrap();
            assert!(StoredAccounts::read(&path).is_err(), "bit {bit}");
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(matches!(StoredAccounts::read(&path), Err(AccountsError::Damaged(_))));
    }
}
