//! How readers go through the logs of a world, and come to their end.

use super::history::Kind;
use super::world::{Delivery, Form, Reader, Record, What, World};
use crate::accounting::tests::identity;
use crate::accounting::{Identity, IdentityError, Sighting};
use std::collections::BTreeMap;

/// Members of a step that has several.
const MEMBERS: usize = 3;

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
        let (grouped, members) = (self.kind.grouped(), self.kind.has_members());
        for (number, reader) in self.readers.iter_mut().enumerate() {
            if members {
                reader.holders.insert(partition, partition as usize % MEMBERS);
            }
            if number >= grouped || partition as usize % grouped == number {
                reader.takes(partition, at);
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
        let position = one.position.get(&partition).copied().unwrap_or(0);
        let astray = position > log.end || position < log.start;
        let from = if astray { log.start } else { position };
        one.position.insert(partition, from);
        let ahead = log
            .records
            .iter()
            .filter(|record| record.offset >= from && record.offset < stable && !(record.aborted && committed));
        let ahead: Vec<Record> = ahead.take(count).copied().collect();
        for record in &ahead {
            one.position.insert(partition, record.offset + 1);
            one.stands.insert(partition, record.offset + 1);
            let told = one.told.entry(partition).or_default();
            *told = (*told).max(record.offset + 1);
            let life = one.holder(partition).unwrap_or(0);
            one.delivers(partition, *record, life);
        }
        if ahead.len() < count {
            one.passes(partition, stable);
        }
    }

    /// Deliveries of a member that does not hold the partition any more.
    pub(super) fn late(&mut self, partition: i32, count: usize) {
        for reader in &mut self.readers {
            let Some((life, records)) = reader.fetched.remove(&partition) else { continue };
            // Who is given a partition again forgets what it had fetched.
            if reader.holder(partition) != Some(life) {
                records.into_iter().take(count).for_each(|record| reader.delivers(partition, record, life));
            }
        }
    }

    /// A partition moves to another member of the group, which goes on at what was committed.
    pub(super) fn move_partition(&mut self, partition: i32, to: u8, back: u8) {
        self.begin();
        if self.kind.has_members() {
            return self.hand_over(partition, usize::from(to) % MEMBERS, back);
        }
        let steps = &self.readers[..self.kind.grouped()];
        let Some(from) = steps.iter().position(|reader| reader.owned.contains(&partition)) else { return };
        let to = usize::from(to) % steps.len();
        if from == to {
            return;
        }
        let committed = self.committed(from, partition, back);
        self.readers[from].owned.remove(&partition);
        self.readers[to].takes(partition, committed);
    }

    /// So many messages behind the position of a reader.
    fn committed(&self, reader: usize, partition: i32, back: u8) -> i64 {
        let position = self.readers[reader].position.get(&partition).copied().unwrap_or(0);
        (position - i64::from(back)).max(self.logs[partition as usize].start.min(position))
    }

    /// The same within one step; not every member knows at once that it has lost a partition.
    fn hand_over(&mut self, partition: i32, to: usize, back: u8) {
        let committed = self.committed(0, partition, back);
        let stable = self.stable(&self.logs[partition as usize]);
        let (log, reader) = (&self.logs[partition as usize], &mut self.readers[0]);
        let ahead = reader.position.get(&partition).copied().unwrap_or(0)..stable;
        let ahead = log.records.iter().filter(|record| ahead.contains(&record.offset) && !record.aborted);
        let Some(from) = reader.holder(partition).filter(|from| *from != to) else { return };
        reader.fetched.insert(partition, (from, ahead.take(3).copied().collect()));
        if back.is_multiple_of(2) {
            reader.account.revoked(from, partition);
        }
        reader.holders.insert(partition, to);
        let stood = reader.account.positions().get(&partition).copied().unwrap_or(0);
        if committed > stood {
            self.passed.push((partition, stood..committed));
        }
        reader.takes(partition, committed);
    }

    /// Readers drain the partitions that a bit of `drains` says, and the log is searched.
    pub(super) fn end(&mut self, drains: u8) {
        self.begin();
        self.note_drained();
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
                    let start = self.logs[partition as usize].start;
                    let one = &mut self.readers[reader];
                    one.account.begins_at(partition, start);
                    if start >= stable[&partition] {
                        one.stands.insert(partition, start);
                    }
                }
            }
        }
        self.note_drained();
    }

    /// Whoever stands at the end, when that is asked for or later, has come to it; what is read again after that takes nothing back.
    fn note_drained(&mut self) {
        let stable: Vec<i64> = self.logs.iter().map(|log| self.stable(log)).collect();
        for reader in &mut self.readers {
            for (number, log) in self.logs.iter().enumerate() {
                // An empty log has nothing to be read, by whoever.
                let at = reader.stands.get(&(number as i32)).copied().unwrap_or(0);
                if at >= stable[number] && at <= log.end {
                    reader.drained.insert(number as i32);
                }
            }
        }
    }

    /// The owner of a partition is assigned it again, at another place.
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
        reader.takes(partition, at);
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

impl Reader {
    /// It is given a partition, and goes on there.
    fn takes(&mut self, partition: i32, at: i64) {
        self.owned.insert(partition);
        self.position.insert(partition, at);
        self.told.insert(partition, at);
        self.stands.insert(partition, at);
        self.account.assigned(self.holder(partition), partition, Some(at));
    }

    /// It has been given everything up to the last stable offset, and its client passes what is no message for it, such as markers.
    fn passes(&mut self, partition: i32, stable: i64) {
        let (life, told) = (self.holder(partition).unwrap_or(0), self.told.entry(partition).or_default());
        self.account.advanced(life, partition, *told);
        *told = (*told).max(stable);
        if let Some(at) = self.account.sent_back(life).get(&partition) {
            // It is told where it stands, and tells it from then on.
            self.account.assigned(self.holder(partition), partition, Some(*at));
            self.told.insert(partition, stable);
        }
        self.account.advanced(life, partition, self.told[&partition]);
        // Who stands behind the end stands in a log that is gone, until it is given something of this one.
        if self.stands[&partition] <= stable {
            self.stands.insert(partition, stable);
        }
        self.position.insert(partition, stable);
    }

    fn holder(&self, partition: i32) -> Option<usize> {
        self.holders.get(&partition).copied()
    }

    fn delivers(&mut self, partition: i32, record: Record, life: usize) {
        self.deliveries.push(Delivery { partition, record });
        let identity = sight(record.what);
        let altered = matches!(record.what, What::Own { form: Form::Altered, .. });
        self.account.record(&Sighting { partition, offset: record.offset, at_us: 0, life, identity, altered });
    }
}

fn sight(what: What) -> Result<(Identity, bool), IdentityError> {
    match what {
        What::Own { producer, sequence, form } => {
            let body_crc = u32::from(form == Form::Forged);
            Ok((Identity { body_crc, ..identity(producer, sequence) }, form != Form::Damaged))
        }
        What::Foreign => Err(IdentityError::Absent),
        What::Torn => Err(IdentityError::Damaged),
    }
}
