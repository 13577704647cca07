//! How readers go through the logs of a world, and come to their end.

use super::history::Kind;
use super::world::{Delivery, What, World};
use crate::accounting::tests::identity;
use crate::accounting::{Identity, IdentityError, Sighting};
use std::collections::BTreeMap;

impl World {
    /// Readers begin when one of them first reads, or partitions move.
    pub(super) fn begin(&mut self) {
        if self.begun {
            return;
        }
        self.begun = true;
        for partition in 0..self.logs.len() as i32 {
            self.assign(partition);
        }
    }

    pub(super) fn assign(&mut self, partition: i32) {
        let log = &self.logs[partition as usize];
        let at = if self.kind == Kind::Elsewhere && !self.starts.contains_key(&partition) && log.records.len() > 1 {
            self.stable(log)
        } else {
            log.start
        };
        self.starts.insert(partition, at);
        let (group, count) = (self.kind.is_group(), self.readers.len());
        for (number, reader) in self.readers.iter_mut().enumerate() {
            if !group || partition as usize % count == number {
                reader.owned.insert(partition);
                reader.position.insert(partition, at);
                reader.furthest.insert(partition, at);
                reader.account.assigned(partition, at);
            }
        }
    }

    /// Reads as a client does: committed messages up to the last stable offset; a position behind the end is reset.
    pub(super) fn read(&mut self, reader: usize, partition: i32, count: usize) {
        let log = &self.logs[partition as usize];
        let (stable, committed) = (self.stable(log), self.kind != Kind::Uncommitted);
        let one = &mut self.readers[reader];
        if !one.owned.contains(&partition) {
            return;
        }
        let position = one.position.entry(partition).or_default();
        let astray = *position > log.end || *position < log.start;
        let from = if astray { log.start } else { *position };
        let ahead = log
            .records
            .iter()
            .filter(|record| record.offset >= from && record.offset < stable && !(record.aborted && committed));
        for (number, record) in ahead.take(count).enumerate() {
            // Where there is nothing to be given, a client does not tell that it has begun anew.
            if astray && number == 0 {
                one.furthest.remove(&partition);
            }
            *position = record.offset + 1;
            let furthest = one.furthest.entry(partition).or_default();
            *furthest = (*furthest).max(record.offset + 1);
            one.deliveries.push(Delivery { partition, record: *record });
            one.account.record(&Sighting { partition, offset: record.offset, at_us: 0, identity: sight(record.what) });
        }
    }

    /// A partition moves to another member of the group, which goes on at what was committed.
    pub(super) fn move_partition(&mut self, partition: i32, to: u8, back: u8) {
        self.begin();
        let to = usize::from(to) % self.readers.len();
        let Some(from) = self.readers.iter().position(|reader| reader.owned.contains(&partition)) else { return };
        if from == to || self.kind == Kind::Union {
            return;
        }
        let position = self.readers[from].position.get(&partition).copied().unwrap_or(0);
        let committed = (position - i64::from(back)).max(self.logs[partition as usize].start.min(position));
        self.readers[from].owned.remove(&partition);
        let reader = &mut self.readers[to];
        reader.owned.insert(partition);
        reader.position.insert(partition, committed);
        let furthest = reader.furthest.entry(partition).or_default();
        *furthest = (*furthest).max(committed);
        reader.account.assigned(partition, committed);
    }

    /// Readers drain the partitions that a bit of `drains` says, and the log is searched.
    pub(super) fn end(&mut self, drains: u8) {
        self.begin();
        for reader in 0..self.readers.len() {
            let positions = self.readers[reader].account.positions();
            let (mut stable, mut high) = (BTreeMap::new(), BTreeMap::new());
            for (number, log) in self.logs.iter().enumerate() {
                let number = number as i32;
                let account = &mut self.readers[reader].account;
                account.ends_at(number, log.end, positions.get(&number).copied().unwrap_or(0));
                stable.insert(number, self.stable(log));
                high.insert(number, log.end);
            }
            self.readers[reader].account.drain_to_stable(&stable, &high);
            for partition in self.readers[reader].owned.clone() {
                if drains >> (partition as usize % 8) & 1 == 1 {
                    self.read(reader, partition, usize::MAX);
                    let one = &mut self.readers[reader];
                    one.drained.insert(partition);
                    one.account.begins_at(partition, self.logs[partition as usize].start);
                    one.account.advanced(partition, stable[&partition]);
                }
            }
        }
        let stable: Vec<i64> = self.logs.iter().map(|log| self.stable(log)).collect();
        for reader in &mut self.readers {
            for (number, log) in self.logs.iter().enumerate() {
                // An empty log has nothing to be read, by whoever.
                let at = reader.furthest.get(&(number as i32)).copied().unwrap_or(0);
                if at >= stable[number] && at <= log.end {
                    reader.drained.insert(number as i32);
                }
            }
        }
    }

    /// The owner of a partition is assigned it anew, at another place.
    pub(super) fn reset(&mut self, partition: i32, to: u8) {
        self.begin();
        let at = self.share(partition, to);
        let Some(reader) = self.readers.iter_mut().find(|reader| reader.owned.contains(&partition)) else { return };
        let position = reader.account.positions().get(&partition).copied().unwrap_or(0);
        if at > position {
            self.passed.push((partition, position..at));
        }
        let start = self.starts.entry(partition).or_insert(at);
        *start = (*start).min(at);
        reader.position.insert(partition, at);
        let furthest = reader.furthest.entry(partition).or_default();
        *furthest = (*furthest).max(at);
        reader.account.assigned(partition, at);
    }

    pub(super) fn jump(&mut self, reader: usize, partition: i32, to: u8) {
        self.begin();
        let at = self.share(partition, to);
        self.readers[reader].position.insert(partition, at);
    }

    /// So many eighths of the way through a partition.
    fn share(&self, partition: i32, to: u8) -> i64 {
        let log = &self.logs[partition as usize];
        log.start + (self.stable(log) - log.start) * i64::from(to) / 8
    }
}

fn sight(what: What) -> Result<(Identity, bool), IdentityError> {
    match what {
        What::Own { producer, sequence, intact, forged } => {
            Ok((Identity { body_crc: u32::from(forged), ..identity(producer, sequence) }, intact))
        }
        What::Foreign => Err(IdentityError::Absent),
        What::Torn => Err(IdentityError::Damaged),
    }
}
