//! A world in which everything is known: logs, senders, readers, and what each of them was told.

use super::history::{Action, Kind, Outcome};
use crate::accounting::tests::{NONCE, identity};
use crate::accounting::{
    Identity, IdentityError, KeyPlan, KeySpec, Ledger, LedgerReport, LogEvidence, Policy, ProducerTicket,
    ReaderAccount, RunIdentity, SenderAccount, Sighting, Terms,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Own { producer: u16, sequence: u64, intact: bool },
    Foreign,
    Torn,
}

/// A record in a log; `uid` is its own for ever.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) uid: usize,
    pub(super) offset: i64,
    pub(super) what: What,
    pub(super) aborted: bool,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) records: Vec<Record>,
    pub(super) start: i64,
    pub(super) end: i64,
    /// Where an open transaction of somebody else begins.
    pub(super) open: Option<i64>,
    pub(super) restarted: bool,
}

impl Log {
    fn stable(&self) -> i64 {
        self.open.unwrap_or(self.end)
    }
}

/// One delivery to a reader.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery {
    pub(super) partition: i32,
    pub(super) record: Record,
}

pub(super) struct Reader {
    pub(super) account: ReaderAccount,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) owned: BTreeSet<i32>,
    /// Partitions of which it has come to the end.
    pub(super) drained: BTreeSet<i32>,
    furthest: BTreeMap<i32, i64>,
    position: BTreeMap<i32, i64>,
}

/// A message of a sender, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) producer: u16,
    pub(super) sequence: u64,
    pub(super) outcome: Outcome,
    pub(super) place: Option<(i32, i64)>,
}

pub(super) struct World {
    pub(super) kind: Kind,
    pub(super) logs: Vec<Log>,
    pub(super) sent: Vec<Sent>,
    pub(super) readers: Vec<Reader>,
    pub(super) starts: BTreeMap<i32, i64>,
    senders: Vec<(ProducerTicket, SenderAccount)>,
    uids: usize,
    begun: bool,
    evidence: Option<LogEvidence>,
}

/// Steps that send; the last is none of those that the account is about.
const SENDERS: usize = 3;
/// Messages that are written before a reader that begins at the end.
const KEYS: u64 = 3;

impl World {
    pub(super) fn new(kind: Kind) -> Self {
        let run = RunIdentity::new(NONCE);
        let senders = (0..SENDERS).map(|number| {
            let ticket = run.register().unwrap();
            let keys = KeyPlan { spec: KeySpec::RoundRobin(KEYS), seed: 0, share: 0, shares: 1 };
            let account = SenderAccount {
                step: format!("s{number}"),
                complete: true,
                keys: Some(keys),
                ..SenderAccount::new(ticket.producer, "t")
            };
            (ticket, account)
        });
        let senders = senders.collect();
        let group = matches!(kind, Kind::Group | Kind::GroupRestarts).then(|| "g".to_owned());
        let count = if group.is_some() || kind == Kind::Union { 2 } else { 1 };
        let readers = (0..count).map(|_| {
            let mut account = ReaderAccount::new(run.clone(), "t", group.clone(), true);
            account.elsewhere = kind == Kind::Elsewhere;
            Reader {
                account,
                deliveries: Vec::new(),
                owned: BTreeSet::new(),
                drained: BTreeSet::new(),
                furthest: BTreeMap::new(),
                position: BTreeMap::new(),
            }
        });
        let readers = readers.collect();
        let logs = (0..2).map(|_| Log::default()).collect();
        Self {
            kind,
            logs,
            sent: Vec::new(),
            readers,
            starts: BTreeMap::new(),
            senders,
            uids: 0,
            begun: false,
            evidence: None,
        }
    }

    /// The senders that the account is about: where readers are a union, all of them.
    pub(super) fn is_from(&self, producer: u16) -> bool {
        self.kind == Kind::Union || usize::from(producer) + 1 < SENDERS
    }

    fn partition(&self, number: u8) -> usize {
        usize::from(number) % self.logs.len()
    }

    fn write(&mut self, partition: usize, what: What, aborted: bool) -> i64 {
        let log = &mut self.logs[partition];
        let offset = log.end;
        log.records.push(Record { uid: self.uids, offset, what, aborted });
        log.end += 1;
        self.uids += 1;
        offset
    }

    /// Readers begin when one of them first reads, or partitions move.
    fn begin(&mut self) {
        if self.begun {
            return;
        }
        self.begun = true;
        for partition in 0..self.logs.len() as i32 {
            self.assign(partition);
        }
    }

    fn assign(&mut self, partition: i32) {
        let log = &self.logs[partition as usize];
        let at = if self.kind == Kind::Elsewhere && !self.starts.contains_key(&partition) && log.records.len() > 1 {
            log.stable()
        } else {
            log.start
        };
        self.starts.insert(partition, at);
        let group = matches!(self.kind, Kind::Group | Kind::GroupRestarts);
        for (number, reader) in self.readers.iter_mut().enumerate() {
            if !group || partition as usize % 2 == number {
                reader.owned.insert(partition);
                reader.position.insert(partition, at);
                reader.account.assigned(partition, at);
            }
        }
    }

    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Send { sender, partition, outcome } => self.send(usize::from(sender) % SENDERS, partition, outcome),
            Action::Read { reader, partition, count } => {
                self.begin();
                let (reader, partition) = (usize::from(reader) % self.readers.len(), self.partition(partition));
                self.read(reader, partition as i32, usize::from(count));
            }
            Action::Move { partition, to, back } => self.move_partition(self.partition(partition) as i32, to, back),
            Action::Copy { record, partition, intact } => {
                let own: Vec<What> = self.logs.iter().flat_map(|log| &log.records).map(|record| record.what).collect();
                if let Some(What::Own { producer, sequence, .. }) = own.get(usize::from(record) % own.len().max(1)) {
                    let what = What::Own { producer: *producer, sequence: *sequence, intact };
                    self.write(self.partition(partition), what, false);
                }
            }
            Action::Stranger { partition, torn } => {
                let what = if torn { What::Torn } else { What::Foreign };
                self.write(self.partition(partition), what, false);
            }
            Action::Delete { partition, share } => {
                let number = self.partition(partition);
                let log = &mut self.logs[number];
                log.start += (log.stable() - log.start) * i64::from(share) / 8;
                let start = log.start;
                log.records.retain(|record| record.offset >= start);
            }
            Action::Recreate { partition } => {
                let number = self.partition(partition);
                self.logs[number] = Log { restarted: true, ..Log::default() };
            }
            Action::Truncate { partition, keep } => {
                let number = self.partition(partition);
                let log = &mut self.logs[number];
                log.end -= (log.end - log.start) * i64::from(keep) / 16;
                let end = log.end;
                log.records.retain(|record| record.offset < end);
                log.restarted = true;
            }
            Action::Compact { partition } => {
                let number = self.partition(partition);
                let key = |record: &Record| match record.what {
                    What::Own { sequence, .. } if !record.aborted => Some(sequence % KEYS),
                    _ => None,
                };
                let all = self.logs[number].records.clone();
                self.logs[number].records.retain(|record| {
                    key(record).is_none_or(|own| !all.iter().any(|l| l.offset > record.offset && key(l) == Some(own)))
                });
            }
            Action::AddPartition if self.logs.len() < 4 => {
                self.logs.push(Log::default());
                if self.begun {
                    self.assign(self.logs.len() as i32 - 1);
                }
            }
            Action::AddPartition => {}
            Action::Hang { partition } => {
                let number = self.partition(partition);
                let log = &mut self.logs[number];
                log.open.get_or_insert(log.end);
            }
        }
    }

    fn send(&mut self, sender: usize, partition: u8, outcome: Outcome) {
        let partition = self.partition(partition);
        let (producer, sequence) = (sender as u16, self.senders[sender].1.sent);
        let what = What::Own { producer, sequence, intact: true };
        let written = !matches!(outcome, Outcome::Failed | Outcome::Unknown);
        let place = written.then(|| (partition as i32, self.write(partition, what, outcome == Outcome::Aborted)));
        let (ticket, account) = &mut self.senders[sender];
        account.sent += 1;
        ticket.raise(account.sent);
        match outcome {
            Outcome::Acked => {
                let (partition, offset) = place.unwrap_or_default();
                account.acknowledged(sequence..sequence + 1, partition, offset);
            }
            Outcome::Failed | Outcome::FailedButWritten => _ = account.failed.insert(sequence),
            Outcome::Unknown | Outcome::UnknownButWritten => _ = account.unknown.insert(sequence),
            Outcome::Aborted => _ = account.aborted.insert(sequence),
        }
        self.sent.push(Sent { producer, sequence, outcome, place });
    }

    /// Reads as a client does: committed messages up to the last stable offset; a position behind the end is reset.
    fn read(&mut self, reader: usize, partition: i32, count: usize) {
        let log = &self.logs[partition as usize];
        let one = &mut self.readers[reader];
        if !one.owned.contains(&partition) {
            return;
        }
        let position = one.position.entry(partition).or_default();
        if *position > log.end || *position < log.start {
            *position = log.start;
            one.furthest.remove(&partition);
        }
        let (from, stable) = (*position, log.stable());
        let ahead =
            log.records.iter().filter(|record| record.offset >= from && record.offset < stable && !record.aborted);
        for record in ahead.take(count) {
            *position = record.offset + 1;
            let furthest = one.furthest.entry(partition).or_default();
            *furthest = (*furthest).max(record.offset + 1);
            one.deliveries.push(Delivery { partition, record: *record });
            one.account.record(&Sighting { partition, offset: record.offset, at_us: 0, identity: sight(record.what) });
        }
    }

    /// A partition moves to another member of the group, which goes on at what was committed.
    fn move_partition(&mut self, partition: i32, to: u8, back: u8) {
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
                stable.insert(number, log.stable());
                high.insert(number, log.end);
            }
            self.readers[reader].account.drain_to_stable(&stable, &high);
            for partition in self.readers[reader].owned.clone() {
                if drains >> (partition as usize % 8) & 1 == 1 {
                    self.read(reader, partition, usize::MAX);
                    let one = &mut self.readers[reader];
                    one.drained.insert(partition);
                    one.account.begins_at(partition, self.logs[partition as usize].start);
                    one.account.advanced(partition, self.logs[partition as usize].stable());
                }
            }
        }
        for reader in &mut self.readers {
            for (number, log) in self.logs.iter().enumerate() {
                let furthest = reader.furthest.get(&(number as i32)).copied();
                if furthest.is_some_and(|at| at >= log.stable() && at <= log.end) {
                    reader.drained.insert(number as i32);
                }
            }
        }
    }

    fn terms(&self) -> Terms {
        let policy = Policy { compacts: true, ..Policy::default() };
        let policies = (self.kind == Kind::Compacted).then(|| ("t".to_owned(), policy)).into_iter().collect();
        Terms { policies, ..Terms::default() }
    }

    pub(super) fn ledger_report(&mut self) -> LedgerReport {
        let from: Vec<SenderAccount> = self.senders.iter().map(|sender| sender.1.clone()).collect();
        let (from, beside): (Vec<_>, Vec<_>) = from.into_iter().partition(|sender| self.is_from(sender.producer));
        let ledger = Ledger::new(&from, self.readers.iter().map(|reader| &reader.account));
        let ledger = ledger.beside(&beside).under(self.terms());
        let missing = ledger.missing();
        let mut evidence = LogEvidence::default();
        for (number, log) in self.logs.iter().enumerate() {
            evidence.log_start.insert(number as i32, log.start);
            for record in &log.records {
                if let What::Own { producer, sequence, .. } = record.what
                    && missing.get(&producer).is_some_and(|set| set.contains(sequence))
                {
                    evidence.found.entry((producer, sequence)).or_insert((number as i32, record.offset));
                }
            }
        }
        let report = ledger.settle(Some(&evidence));
        self.evidence = Some(evidence);
        report
    }
}

fn sight(what: What) -> Result<(Identity, bool), IdentityError> {
    match what {
        What::Own { producer, sequence, intact } => Ok((identity(producer, sequence), intact)),
        What::Foreign => Err(IdentityError::Absent),
        What::Torn => Err(IdentityError::Damaged),
    }
}
