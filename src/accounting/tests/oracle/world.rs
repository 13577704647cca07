//! A world in which everything is known: logs, senders, readers, and what each of them was told.

use super::history::{Action, Close, Kind, Outcome};
use crate::accounting::tests::NONCE;
use crate::accounting::{
    Allowed, KeyPlan, KeySpec, Ledger, LedgerReport, LogEvidence, Policy, ProducerTicket, ReaderAccount, RunIdentity,
    SenderAccount, Terms,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Own { producer: u16, sequence: u64, form: Form },
    Foreign,
    Torn,
}

/// In which form a message was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    AsSent,
    /// With another key, or with other headers.
    Altered,
    /// With another body and a right checksum.
    Forged,
    Damaged,
}

/// A record in a log; `uid` is its own forever.
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
    /// Behind what it was given last, or where it was told to go on.
    pub(super) stands: BTreeMap<i32, i64>,
    /// The next offset that its client will ask for.
    pub(super) position: BTreeMap<i32, i64>,
    /// The furthest position since the assignment: its client never tells a lower one.
    pub(super) told: BTreeMap<i32, i64>,
    /// Which of its members holds a partition, where there are several.
    pub(super) holders: BTreeMap<i32, usize>,
    /// What a member had fetched when it lost a partition.
    pub(super) fetched: BTreeMap<i32, (usize, Vec<Record>)>,
}

/// A message of a sender, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) producer: u16,
    pub(super) sequence: u64,
    pub(super) outcome: Outcome,
    /// What the broker told of where it is: the partition, and the offset or -1.
    pub(super) told: Option<(i32, i64)>,
}

pub(super) struct World {
    pub(super) kind: Kind,
    pub(super) logs: Vec<Log>,
    pub(super) sent: Vec<Sent>,
    pub(super) readers: Vec<Reader>,
    pub(super) starts: BTreeMap<i32, i64>,
    /// Places that an assignment passed over.
    pub(super) passed: Vec<(i32, std::ops::Range<i64>)>,
    senders: Vec<(ProducerTicket, SenderAccount)>,
    uids: usize,
    pub(super) begun: bool,
}

/// Producers: the first and the third are of one step, which was tried twice; the last is of none that the account is about.
const SENDERS: usize = 4;
/// Keys that go round with the sequences.
pub(super) const KEYS: u64 = 3;

/// The step of a producer.
pub(super) fn step_of(producer: u16) -> String {
    format!("s{}", if usize::from(producer) + 1 < SENDERS { producer % 2 } else { producer })
}

impl World {
    pub(super) fn new(kind: Kind) -> Self {
        let run = RunIdentity::new(NONCE);
        let senders = (0..SENDERS).map(|number| {
            let ticket = run.register("t").unwrap();
            let keys = KeyPlan { spec: KeySpec::RoundRobin(KEYS), seed: 0, share: 0, shares: 1 };
            let account = SenderAccount {
                step: step_of(number as u16),
                complete: true,
                keys: Some(keys),
                ..SenderAccount::new(ticket.producer, "t")
            };
            (ticket, account)
        });
        let senders = senders.collect();
        let readers = (0..kind.readers()).map(|number| {
            let group = (number < kind.grouped() || kind.has_members()).then(|| "g".to_owned());
            let mut account = ReaderAccount::new(run.clone(), "t", group, kind != Kind::Uncommitted);
            account.sample_limit = usize::MAX;
            account.elsewhere = kind == Kind::Elsewhere;
            Reader {
                account,
                deliveries: Vec::new(),
                owned: BTreeSet::new(),
                drained: BTreeSet::new(),
                stands: BTreeMap::new(),
                position: BTreeMap::new(),
                told: BTreeMap::new(),
                holders: BTreeMap::new(),
                fetched: BTreeMap::new(),
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
            passed: Vec::new(),
            senders,
            uids: 0,
            begun: false,
        }
    }

    /// The senders that the account is about.
    pub(super) fn is_from(&self, producer: u16) -> bool {
        self.kind.is_of_all() || usize::from(producer) + 1 < SENDERS
    }

    fn partition(&self, number: u8) -> usize {
        usize::from(number) % self.logs.len()
    }

    /// How far readers are given messages.
    pub(super) fn stable(&self, log: &Log) -> i64 {
        log.open.filter(|_| self.kind != Kind::Uncommitted).unwrap_or(log.end)
    }

    fn write(&mut self, partition: usize, what: What, aborted: bool) -> i64 {
        let log = &mut self.logs[partition];
        let offset = log.end;
        log.records.push(Record { uid: self.uids, offset, what, aborted });
        log.end += 1;
        self.uids += 1;
        offset
    }

    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Send { sender, partition, outcome } => self.send(usize::from(sender) % SENDERS, partition, outcome),
            Action::Read { reader, partition, count } => {
                self.begin();
                let (reader, partition) = (usize::from(reader) % self.readers.len(), self.partition(partition));
                self.read(reader, partition as i32, usize::from(count));
            }
            Action::Transaction { sender, partition, count, close } => {
                self.transact(usize::from(sender) % SENDERS, partition, count, close);
            }
            Action::Move { partition, to, back } => self.move_partition(self.partition(partition) as i32, to, back),
            Action::Late { partition, count } => self.late(self.partition(partition) as i32, usize::from(count)),
            Action::Reset { partition, to } => self.reset(self.partition(partition) as i32, to),
            Action::Jump { reader, partition, to } => {
                self.jump(usize::from(reader) % self.readers.len(), self.partition(partition) as i32, to);
            }
            Action::Copy { record, partition, intact: true } => self.copy(record, partition, Form::AsSent),
            Action::Copy { record, partition, intact: false } => self.copy(record, partition, Form::Damaged),
            Action::Alter { record, partition } => self.copy(record, partition, Form::Altered),
            Action::Forge { record, partition } => self.copy(record, partition, Form::Forged),
            Action::Stranger { partition, torn } => {
                let what = if torn { What::Torn } else { What::Foreign };
                self.write(self.partition(partition), what, false);
            }
            Action::Delete { partition, share } => {
                let number = self.partition(partition);
                let stable = self.stable(&self.logs[number]);
                let log = &mut self.logs[number];
                log.start += (stable - log.start) * i64::from(share) / 8;
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

    /// Writes what is in a log once more, as it is or changed.
    fn copy(&mut self, record: u8, partition: u8, form: Form) {
        let all: Vec<What> = self.logs.iter().flat_map(|log| &log.records).map(|record| record.what).collect();
        if let Some(What::Own { producer, sequence, .. }) = all.get(usize::from(record) % all.len().max(1)) {
            let what = What::Own { producer: *producer, sequence: *sequence, form };
            self.write(self.partition(partition), what, false);
        }
    }

    fn send(&mut self, sender: usize, partition: u8, outcome: Outcome) {
        let partition = self.partition(partition);
        let (producer, sequence) = (sender as u16, self.senders[sender].1.sent);
        let what = What::Own { producer, sequence, form: Form::AsSent };
        let written = !matches!(outcome, Outcome::Failed | Outcome::Unknown);
        let place = written.then(|| (partition as i32, self.write(partition, what, outcome == Outcome::Aborted)));
        let told = match outcome {
            Outcome::AckedSomewhere => Some((partition as i32, -1)),
            Outcome::AckedNowhere => None,
            _ => place,
        };
        let (ticket, account) = &mut self.senders[sender];
        account.sent += 1;
        ticket.raise(account.sent);
        match outcome {
            Outcome::Acked | Outcome::AckedSomewhere | Outcome::AckedNowhere => {
                let (partition, offset) = told.unwrap_or((-1, -1));
                account.acknowledged(sequence..sequence + 1, partition, offset);
            }
            Outcome::Failed | Outcome::FailedButWritten => _ = account.failed.insert(sequence),
            Outcome::Unknown | Outcome::UnknownButWritten => _ = account.unknown.insert(sequence),
            Outcome::Aborted => _ = account.aborted.insert(sequence),
        }
        self.sent.push(Sent { producer, sequence, outcome, told });
    }

    /// Messages that are acknowledged one by one, before their transaction ends.
    fn transact(&mut self, sender: usize, partition: u8, count: u8, close: Close) {
        let (first, number) = (self.sent.len(), self.partition(partition));
        let sequences = self.senders[sender].1.sent..self.senders[sender].1.sent + u64::from(count);
        let before = self.logs[number].records.len();
        (0..count).for_each(|_| self.send(sender, partition, Outcome::Acked));
        let account = &mut self.senders[sender].1;
        match close {
            Close::Commit => {}
            Close::Abort => account.transaction_aborted(sequences),
            Close::Silence => account.transaction_in_doubt(sequences),
        }
        for sent in &mut self.sent[first..] {
            sent.outcome = match close {
                Close::Commit => Outcome::Acked,
                Close::Abort => Outcome::Aborted,
                Close::Silence => Outcome::UnknownButWritten,
            };
        }
        let log = &mut self.logs[number];
        log.records[before..].iter_mut().for_each(|record| record.aborted = close == Close::Abort);
        // The marker takes an offset.
        log.end += 1;
    }

    fn terms(&self) -> Terms {
        let policy = Policy { compacts: true, ..Policy::default() };
        let policies = (self.kind == Kind::Compacted).then(|| ("t".to_owned(), policy)).into_iter().collect();
        let allow = (self.kind == Kind::Expiring).then_some(Allowed::Expired).into_iter().collect();
        Terms { policies, allow, ..Terms::default() }
    }

    pub(super) fn ledger_report(&mut self) -> LedgerReport {
        let from: Vec<SenderAccount> = self.senders.iter().map(|sender| sender.1.clone()).collect();
        let (from, beside): (Vec<_>, Vec<_>) = from.into_iter().partition(|sender| self.is_from(sender.producer));
        let ledger = Ledger::new(&from, self.readers.iter().map(|reader| &reader.account));
        let ledger = ledger.beside(&beside).under(self.terms()).with_samples(usize::MAX);
        let missing = ledger.missing();
        let mut evidence = LogEvidence::default();
        for (number, log) in self.logs.iter().enumerate() {
            evidence.log_start.insert(number as i32, log.start);
            evidence.log_end.insert(number as i32, log.end);
            for record in &log.records {
                if let What::Own { producer, sequence, .. } = record.what
                    && missing.get(&producer).is_some_and(|set| set.contains(sequence))
                {
                    evidence.found.entry((producer, sequence)).or_insert((number as i32, record.offset));
                }
            }
        }
        ledger.settle(Some(&evidence))
    }
}
