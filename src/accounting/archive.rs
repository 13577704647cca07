//! `accounts.bin`: the accounts of a run beside its result.
//!
//! Twelve bytes of magic and version, the length and the CRC-32 of what follows, then JSON, compressed.

use super::Settlement;
use super::allowance::Allowance;
use super::bounded::{Bounded, inflated};
use super::changes::ChangeSettlement;
use super::settlement::MOST_EFFORT;
use crate::text::short;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::io;
use std::path::Path;

/// Name of the file in a run's folder.
pub const FILE: &str = "accounts.bin";
/// Version of the format; raised when a reader of the former one would misunderstand it.
pub const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"kscenacc";
const HEADER: usize = 24;
/// Accounts that take more, uncompressed, are neither written nor read. The rows of changes are at most half of it, as base64, the places
/// of messages at most 16 MiB for each sender that wrote without any order.
pub const MOST: u64 = 192 << 20;
/// Bytes of a name that kscen makes.
const NAME: usize = 1000;

/// The accounts of a run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct StoredAccounts {
    /// The run.
    #[serde(deserialize_with = "name")]
    pub run: String,
    /// The version of kscen that wrote it.
    #[serde(deserialize_with = "name")]
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
    /// Settling them takes longer than anybody waits.
    TooLong,
}

/// A name, which is not even kept where it is no name.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Name;
    impl Visitor<'_> for Name {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
            if text.len() > NAME {
                Err(E::custom(format!("a name has more than {NAME} bytes")))
            } else {
                Ok(text.to_owned())
            }
        }
    }
    deserializer.deserialize_str(Name)
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
            Self::TooLong => write!(f, "settling them again takes more than {MOST_EFFORT} looks at messages"),
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
        self.write_within(MOST, path)
    }

    /// Writes the file where it takes no more than so many bytes, uncompressed.
    fn write_within(&self, most: u64, path: &Path) -> Result<(), AccountsError> {
        let mut out = Bounded::new(ZlibEncoder::new(Vec::new(), Compression::new(2)), most);
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
        let together = Allowance::begin();
        let read: Self =
            serde_json::from_slice(&text).map_err(|error| AccountsError::Damaged(short(&error.to_string(), NAME)))?;
        drop(together);
        let effort = read.settlements.iter().map(|settlement| settlement.ledger().effort());
        if effort.fold(0, u64::saturating_add) > MOST_EFFORT { Err(AccountsError::TooLong) } else { Ok(read) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::packed::{to_hex, write_varint};
    use super::*;
    use crate::accounting::keys::{KeyPlan, KeySpec};
    use crate::accounting::{Policy, ReaderAccount, RunIdentity, SenderAccount, Sighting};
    use std::io::Write as _;

    fn archive() -> StoredAccounts {
        let run = RunIdentity::new(7);
        let ticket = run.register("t").unwrap();
        ticket.raise(100);
        let mut sender = SenderAccount::new(ticket.producer, "t");
        (sender.step, sender.sent, sender.complete) = ("load".to_owned(), 100, true);
        sender.acknowledged(0..100, 0, 0);
        let mut reader = ReaderAccount::new(run, "t", None, false);
        for sequence in (0..100).filter(|sequence| sequence % 10 != 3) {
            let identity = crate::accounting::Identity {
                nonce: 7,
                producer: 0,
                sequence,
                due_us: 0,
                body_crc: 0,
                around: 0,
                warmup: false,
            };
            reader.record(&Sighting {
                partition: 0,
                offset: sequence as i64,
                at_us: 0,
                life: 0,
                identity: Ok((identity, true)),
                altered: false,
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
    fn more_than_is_stored_is_told_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert!(matches!(archive().write_within(100, &path), Err(AccountsError::TooLarge)));
        assert!(!path.exists());
        archive().write_within(100_000, &path).unwrap();
        assert!(StoredAccounts::read(&path).is_ok());
    }

    /// What reading says of a file with this text in it.
    fn refusal(text: &[u8]) -> String {
        read(text).expect_err("it is refused").to_string()
    }

    fn read(text: &[u8]) -> Result<StoredAccounts, AccountsError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut out = ZlibEncoder::new(Vec::new(), Compression::new(2));
        out.write_all(text).unwrap();
        let body = out.finish().unwrap();
        let numbers =
            [&VERSION.to_le_bytes()[..], &(body.len() as u64).to_le_bytes(), &crc32fast::hash(&body).to_le_bytes()];
        std::fs::write(file.path(), [&MAGIC[..], &numbers.concat(), &body].concat()).unwrap();
        StoredAccounts::read(file.path())
    }

    /// The honest accounts with something else at a place of the first delivery.
    fn with(changes: &[(&str, serde_json::Value)]) -> Vec<u8> {
        let mut value = serde_json::to_value(archive()).unwrap();
        for (pointer, other) in changes {
            *value.pointer_mut(&format!("/settlements/0/{pointer}")).unwrap_or_else(|| panic!("{pointer}")) =
                other.clone();
        }
        serde_json::to_vec(&value).unwrap()
    }

    fn set(numbers: &[u64]) -> serde_json::Value {
        let mut code = Vec::new();
        numbers.iter().for_each(|number| write_varint(&mut code, *number));
        to_hex(&code).into()
    }

    #[test]
    fn a_few_bytes_take_neither_memory_nor_time() {
        let long = format!("{{\"run\":\"{}\"}}", "x".repeat(100_000)).into_bytes();
        assert!(refusal(&long).starts_with("it is damaged: a name has more than 1000 bytes"));
        assert_eq!(refusal(&vec![b' '; MOST as usize + 1]), "it is damaged: it holds more than 192 MiB");
        let set_of = |field: &str, numbers: &[u64]| refusal(&with(&[(&*format!("senders/0/{field}"), set(numbers))]));
        for field in ["acked", "failed", "unknown", "aborted"] {
            assert!(set_of(field, &[0, 1 << 40]).contains("a set has more than"), "{field}");
            let bits: Vec<u64> = (0..40_000).flat_map(|_| [65_535, 1]).collect();
            assert!(set_of(field, &bits).contains("take more than 256 MiB"), "{field}");
        }
        let places = serde_json::json!([[0, set(&[9, 1 << 62])]]);
        assert!(refusal(&with(&[("senders/0/offsets/1", places)])).contains("places of messages"));
        // Each set alone is one that a run can have.
        let too_long = "settling them again takes more than 134217728 looks at messages";
        assert_eq!(set_of("acked", &[0, 1 << 36]), too_long, "all of them missing");
        let all = set(&[0, 1 << 30]);
        let seen = ("readers/0/producers/0/seen", all.clone());
        let again = ("readers/0/producers/0/again", all.clone());
        assert_eq!(refusal(&with(&[seen.clone(), again])), too_long, "all of them twice");
        assert_eq!(refusal(&with(&[seen, ("senders/0/aborted", all)])), too_long, "all of them aborted");
        // Of a compacted topic every place is entered into a set, and every key kept.
        let compacted = ("terms/policies", serde_json::json!({ "t": Policy { compacts: true, ..Policy::default() } }));
        let far = |count: u64| set(&[2 << 2 | 3, 2 << 20, count]);
        let spread = |count: u64| ("senders/0/offsets/1", serde_json::json!([[0, far(count)]]));
        assert_eq!(refusal(&with(&[compacted.clone(), spread(40_000)])), too_long, "a page for each place");
        assert_eq!(refusal(&with(&[compacted.clone(), spread(1 << 28)])), too_long, "more places than time");
        assert!(read(&with(&[compacted.clone(), spread(1_000)])).is_ok());
        assert!(read(&with(&[spread(40_000)])).is_ok(), "nobody asks for successors");
        let keys = |spec: KeySpec| {
            let plan = KeyPlan { spec, seed: 1, share: 0, shares: 1 };
            ("senders/0/keys", serde_json::to_value(plan).unwrap())
        };
        let sent = |count: u64| ("senders/0/sent", count.into());
        let of = |spec: KeySpec, count: u64| with(&[compacted.clone(), keys(spec), sent(count)]);
        assert_eq!(refusal(&of(KeySpec::RoundRobin(5), 1 << 60)), too_long, "a key for each of them");
        assert_eq!(refusal(&of(KeySpec::Constant("x".repeat(900_000)), 20_000)), too_long, "long keys");
        assert!(read(&of(KeySpec::RoundRobin(5), 1_000)).is_ok());
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
