//! Messages of PostgreSQL's `pgoutput` plugin, protocol version 1
//! ([Logical Replication Message Formats](https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html)).

use super::{ColumnValue, DatabaseError, DatabaseResult, Lsn};

#[derive(Clone, Debug)]
pub(super) struct RelationMessage {
    pub(super) id: u32,
    pub(super) schema: String,
    pub(super) table: String,
    /// Replica identity is FULL: every column is flagged as key.
    pub(super) full: bool,
    pub(super) columns: Vec<ColumnMessage>,
}

#[derive(Clone, Debug)]
pub(super) struct ColumnMessage {
    pub(super) key: bool,
    pub(super) name: String,
    pub(super) type_oid: u32,
    pub(super) type_modifier: i32,
}

pub(super) enum ReplicationMessage {
    /// Position of the commit record, microseconds since the Unix epoch, transaction id.
    Begin {
        commit_lsn: Lsn,
        committed_us: i64,
        xid: u32,
    },
    /// Position after the commit record.
    Commit {
        end_lsn: Lsn,
    },
    Relation(RelationMessage),
    Insert {
        relation: u32,
        new: Vec<ColumnValue>,
    },
    /// `old` where the replica identity changed or is FULL.
    Update {
        relation: u32,
        old: Option<Vec<ColumnValue>>,
        new: Vec<ColumnValue>,
    },
    Delete {
        relation: u32,
        old: Vec<ColumnValue>,
    },
    Truncate {
        relations: Vec<u32>,
    },
    /// Origin, type and logical messages: no rows in them.
    Other,
}

/// PostgreSQL counts from 2000-01-01.
const EPOCH_OFFSET_US: i64 = 946_684_800_000_000;

pub(super) fn parse(data: &[u8]) -> DatabaseResult<ReplicationMessage> {
    let mut reader = Reader(data);
    let message = match reader.u8()? {
        b'B' => ReplicationMessage::Begin {
            commit_lsn: Lsn(reader.u64()?),
            committed_us: reader.u64()?.cast_signed().saturating_add(EPOCH_OFFSET_US),
            xid: reader.u32()?,
        },
        b'C' => {
            reader.take(1 + 8)?;
            ReplicationMessage::Commit { end_lsn: Lsn(reader.u64()?) }
        }
        b'R' => ReplicationMessage::Relation(reader.relation()?),
        b'I' => {
            let relation = reader.u32()?;
            reader.expect(b'N')?;
            ReplicationMessage::Insert { relation, new: reader.tuple()? }
        }
        b'U' => {
            let relation = reader.u32()?;
            let (old, marker) = match reader.u8()? {
                b'K' | b'O' => (Some(reader.tuple()?), reader.u8()?),
                marker => (None, marker),
            };
            if marker != b'N' {
                return Err(unreadable(format!("an update has a tuple of kind {:?}", char::from(marker))));
            }
            ReplicationMessage::Update { relation, old, new: reader.tuple()? }
        }
        b'D' => {
            let relation = reader.u32()?;
            reader.take(1)?;
            ReplicationMessage::Delete { relation, old: reader.tuple()? }
        }
        b'T' => {
            let count = reader.u32()?;
            reader.take(1)?;
            ReplicationMessage::Truncate { relations: (0..count).map(|_| reader.u32()).collect::<DatabaseResult<_>>()? }
        }
        b'O' | b'Y' | b'M' => ReplicationMessage::Other,
        other => return Err(unreadable(format!("a message of kind {:?}", char::from(other)))),
    };
    Ok(message)
}

fn unreadable(what: String) -> DatabaseError {
    DatabaseError::Unreadable { message: format!("the database's change stream is not understood: {what}") }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> DatabaseResult<&'a [u8]> {
        let (head, tail) =
            self.0.split_at_checked(length).ok_or_else(|| unreadable("a message is too short".to_owned()))?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> DatabaseResult<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn u8(&mut self) -> DatabaseResult<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> DatabaseResult<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> DatabaseResult<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> DatabaseResult<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn expect(&mut self, marker: u8) -> DatabaseResult<()> {
        let found = self.u8()?;
        if found == marker { Ok(()) } else { Err(unreadable(format!("a tuple of kind {:?}", char::from(found)))) }
    }

    fn string(&mut self) -> DatabaseResult<String> {
        let end = memchr::memchr(0, self.0).ok_or_else(|| unreadable("a name does not end".to_owned()))?;
        let text = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.take(1)?;
        Ok(text)
    }

    /// Room for so many elements, of which each takes a byte at least.
    fn room(&self, count: u16) -> usize {
        self.0.len().min(count.into())
    }

    fn relation(&mut self) -> DatabaseResult<RelationMessage> {
        let id = self.u32()?;
        let schema = self.string()?;
        let table = self.string()?;
        let full = self.u8()? == b'f';
        let count = self.u16()?;
        let mut columns = Vec::with_capacity(self.room(count));
        for _ in 0..count {
            let key = self.u8()? & 1 == 1;
            let name = self.string()?;
            columns.push(ColumnMessage { key, name, type_oid: self.u32()?, type_modifier: self.u32()?.cast_signed() });
        }
        Ok(RelationMessage { id, schema, table, full, columns })
    }

    fn tuple(&mut self) -> DatabaseResult<Vec<ColumnValue>> {
        let count = self.u16()?;
        let mut cells = Vec::with_capacity(self.room(count));
        for _ in 0..count {
            cells.push(match self.u8()? {
                b'n' => ColumnValue::Null,
                b'u' => ColumnValue::Unchanged,
                b't' => {
                    let length = self.u32()? as usize;
                    ColumnValue::Text(String::from_utf8_lossy(self.take(length)?).into_owned())
                }
                other => return Err(unreadable(format!("a column of kind {:?}", char::from(other)))),
            });
        }
        Ok(cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(cells: &[Option<&str>]) -> Vec<u8> {
        let mut out = (cells.len() as u16).to_be_bytes().to_vec();
        for cell in cells {
            match cell {
                None => out.push(b'n'),
                Some(text) => {
                    out.push(b't');
                    out.extend((text.len() as u32).to_be_bytes());
                    out.extend(text.as_bytes());
                }
            }
        }
        out
    }

    #[test]
    fn an_update_with_its_old_key_is_read() {
        let mut data = vec![b'U', 0, 0, 0, 7, b'K'];
        data.extend(tuple(&[Some("1"), None]));
        data.push(b'N');
        data.extend(tuple(&[Some("2"), Some("x")]));
        let ReplicationMessage::Update { relation: 7, old: Some(old), new } = parse(&data).unwrap() else { panic!() };
        assert_eq!(old, [ColumnValue::Text("1".into()), ColumnValue::Null]);
        assert_eq!(new, [ColumnValue::Text("2".into()), ColumnValue::Text("x".into())]);
    }

    #[test]
    fn every_truncation_of_a_message_is_an_error_not_a_panic() {
        let mut data = vec![b'I', 0, 0, 0, 7, b'N'];
        data.extend(tuple(&[Some("1"), None, Some("abc")]));
        assert!(parse(&data).is_ok());
        for length in 0..data.len() {
            assert!(parse(&data[..length]).is_err(), "{length}");
        }
        assert!(parse(b"?").is_err());
        // Counts and lengths that nothing follows.
        for claims in [&b"T\xff\xff\xff\xff\0"[..], b"I\0\0\0\x07N\xff\xff", b"I\0\0\0\x07N\0\x01t\xff\xff\xff\xff"] {
            assert!(parse(claims).is_err(), "{claims:?}");
        }
        assert_eq!((Reader(b"abc").room(u16::MAX), Reader(b"abc").room(2)), (3, 2));
    }

    #[test]
    fn commit_times_are_in_unix_microseconds() {
        let mut data = vec![b'B'];
        data.extend(5u64.to_be_bytes());
        data.extend(1_000_000u64.to_be_bytes());
        data.extend(42u32.to_be_bytes());
        let ReplicationMessage::Begin { commit_lsn: Lsn(5), committed_us, xid: 42 } = parse(&data).unwrap() else {
            panic!()
        };
        assert_eq!(committed_us, 946_684_801_000_000);
    }
}
