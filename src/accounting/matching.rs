//! Identity by content, for pipelines that rewrite payloads: what goes in is held against what comes
//! out by key or by a value inside of the JSON payload.

use super::{Identity, PagedBitmap, ReaderAccount, RunIdentity, Sighting};
use crate::ground::json_path::JsonPath;
use crate::ground::lock;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

/// What input and output of a message have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MatchBy {
    /// The key, byte by byte.
    Key,
    /// A value in the JSON payload, as path from its root.
    Json(JsonPath),
}

/// By what both sides of a pipeline are matched; the output may have the value in another place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matching {
    /// Where the input has it.
    pub input: MatchBy,
    /// Where the output has it.
    pub output: MatchBy,
}

impl MatchBy {
    /// Reads a JSON path of names and indexes, such as `$.after.id` or `items[0].id`.
    pub fn path(path: &str) -> Result<Self, String> {
        JsonPath::parse(path).map(Self::Json)
    }

    /// The value of a message, hashed; `None` where it has none.
    fn value(&self, key: Option<&[u8]>, payload: Option<&[u8]>) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        match self {
            Self::Key => key?.hash(&mut hasher),
            Self::Json(path) => {
                let root: serde_json::Value = serde_json::from_slice(payload?).ok()?;
                let value = path.find(&root)?;
                // 1 and "1" are the same to a pipeline that changes types.
                match value {
                    serde_json::Value::Null => return None,
                    serde_json::Value::String(text) => text.hash(&mut hasher),
                    other => other.to_string().hash(&mut hasher),
                }
            }
        }
        Some(hasher.finish())
    }
}

/// Collects both sides while they are read, in whatever order, and matches them at the end.
#[derive(Debug)]
pub struct Matcher {
    by: Matching,
    sides: Mutex<Sides>,
}

#[derive(Debug, Default)]
struct Sides {
    inputs: HashMap<u64, Vec<Identity>>,
    /// By producer: the messages that have stood at the input.
    known: HashMap<u16, PagedBitmap>,
    outputs: Vec<Output>,
}

impl Sides {
    fn enter(&mut self, value: u64, identity: Identity) {
        let inputs = self.inputs.entry(value).or_default();
        // Only what came again is looked for among the many that a value may have.
        if self.known.entry(identity.producer).or_default().insert(identity.sequence) || !inputs.contains(&identity) {
            inputs.push(identity);
        }
    }
}

#[derive(Debug)]
struct Output {
    value: Option<u64>,
    /// Where the pipeline has left it in.
    identity: Option<Identity>,
    place: SeenAt,
}

/// Where and when a message was seen at the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenAt {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// When, in µs since the epoch.
    pub at_us: i64,
}

/// What a reader has read at one place behind a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Where, and when it was seen.
    pub place: SeenAt,
    /// How many logs had stood in that partition before.
    pub log: usize,
    /// Which message of the input it is; absent where it is none of them.
    pub identity: Option<Identity>,
}

/// What came of matching both sides of a pipeline.
#[derive(Debug)]
pub struct Matches {
    /// The account of the reader at the output, as if it had read the input.
    pub account: ReaderAccount,
    /// How many inputs share their value with another, so that the order alone connects them with their outputs.
    pub ambiguous: u64,
    /// Everything of which it is known that the reader has read it, each place once.
    pub placed: Vec<Placed>,
    /// How many places the reader has read of which nobody knows any more what stood there.
    pub unknown: u64,
}

impl Matcher {
    /// A matcher without messages.
    pub fn new(by: Matching) -> Self {
        Self { by, sides: Mutex::default() }
    }

    fn sides(&self) -> MutexGuard<'_, Sides> {
        lock(&self.sides)
    }

    /// A message of the run at the input; false where it lacks the value to match by. One that stands there twice is one message.
    pub fn input(&self, identity: Identity, key: Option<&[u8]>, payload: Option<&[u8]>) -> bool {
        let Some(value) = self.by.input.value(key, payload) else {
            return false;
        };
        self.sides().enter(value, identity);
        true
    }

    /// What stood at the input before, whether or not it stands there still; to be told before anything is read.
    pub fn recall(&self, known: &[(u64, Identity)]) {
        let mut sides = self.sides();
        known.iter().for_each(|(value, identity)| sides.enter(*value, *identity));
    }

    /// All that has stood at the input, by the value that it is matched by.
    pub fn inputs(&self) -> Vec<(u64, Identity)> {
        let sides = self.sides();
        let of_value = |(value, inputs): (&u64, &Vec<Identity>)| {
            let value = *value;
            inputs.clone().into_iter().map(move |identity| (value, identity))
        };
        sides.inputs.iter().flat_map(of_value).collect()
    }

    /// Those of a producer's messages that have stood at the input.
    pub fn stood(&self, producer: u16) -> PagedBitmap {
        self.sides().known.get(&producer).cloned().unwrap_or_default()
    }

    /// A message at the output, once for each offset; with the identity of its input where the pipeline has left it in.
    pub fn output(&self, place: SeenAt, identity: Option<Identity>, key: Option<&[u8]>, payload: Option<&[u8]>) {
        let value = self.by.output.value(key, payload);
        self.sides().outputs.push(Output { value, identity, place });
    }

    /// Gives every output the identity of its input: the one that it carries, else the n-th output of a value that of its
    /// n-th input, further ones that of its last. What matches no input is foreign. `read` is the account of the reader at the
    /// output, who decides which outputs count and how many came again; `before` is what was known at an earlier look to be
    /// read, and counts where it is in the log no more.
    pub fn settle(&self, run: Arc<RunIdentity>, read: &ReaderAccount, before: &[Placed]) -> Matches {
        let mut sides = self.sides();
        let outputs = std::mem::take(&mut sides.outputs);
        let (standing, ambiguous) = sides.standing(&outputs, read);
        let mut stands: HashMap<i32, PagedBitmap> = HashMap::new();
        for Placed { place, .. } in &standing {
            stands.entry(place.partition).or_default().insert(place.offset as u64);
        }
        let stands = |place: &SeenAt| stands.get(&place.partition).is_some_and(|all| all.contains(place.offset as u64));
        let is_former = |placed: &&Placed| placed.log < read.former_logs(placed.place.partition);
        let (former, of_this): (Vec<&Placed>, Vec<&Placed>) = before.iter().partition(is_former);
        let gone: Vec<Placed> = of_this.into_iter().filter(|placed| !stands(&placed.place)).copied().collect();
        let mut placed = standing;
        if !gone.is_empty() {
            placed.extend(gone);
            placed.sort_by_key(|placed| (placed.place.partition, placed.place.offset));
        }
        let account = accounted(run, read, &placed);
        placed.extend(former.into_iter().copied());
        let unknown = read.places().saturating_sub(placed.len() as u64);
        Matches { account, ambiguous, placed, unknown }
    }
}

impl Sides {
    /// What stands at the output of what the reader has read, in the order of reading, and how many inputs cannot be told apart by it.
    fn standing(&self, outputs: &[Output], read: &ReaderAccount) -> (Vec<Placed>, u64) {
        let mut next: HashMap<u64, usize> = HashMap::new();
        let mut by_order: HashSet<u64> = HashSet::new();
        let is_read = |output: &&Output| read.has_read(output.place.partition, output.place.offset);
        let standing = outputs.iter().filter(is_read).map(|output| {
            let found = output.value.and_then(|value| Some((value, self.inputs.get(&value)?)));
            let identity = found.and_then(|(value, inputs)| {
                if let Some(carried) = output.identity.filter(|carried| inputs.contains(carried)) {
                    return Some(carried);
                }
                by_order.insert(value);
                let number = next.entry(value).or_default();
                *number += 1;
                inputs.get(*number - 1).or(inputs.last()).copied()
            });
            Placed { place: output.place, log: read.former_logs(output.place.partition), identity }
        });
        let standing: Vec<Placed> = standing.collect();
        let shared = by_order.iter().filter_map(|value| self.inputs.get(value)).filter(|inputs| inputs.len() > 1);
        (standing, shared.map(|inputs| inputs.len() as u64).sum())
    }
}

/// The account of a reader that has read these.
fn accounted(run: Arc<RunIdentity>, read: &ReaderAccount, placed: &[Placed]) -> ReaderAccount {
    let mut account = read.without_messages(run);
    let redelivered = read.redelivered();
    if redelivered.count > 0 {
        account.read += redelivered.count;
        account.strangers.insert(super::Class::Redelivered, redelivered);
    }
    for Placed { place: SeenAt { partition, offset, at_us }, identity, .. } in placed {
        let identity = identity.map(|identity| (identity, true)).ok_or(super::IdentityError::Absent);
        let (partition, offset, at_us) = (*partition, *offset, *at_us);
        account.record(&Sighting { partition, offset, at_us, life: 0, identity, altered: false });
    }
    account
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::{Class, IdentityError, Ledger, SenderAccount};
    use std::collections::BTreeMap;

    #[test]
    fn a_pipeline_is_checked_from_end_to_end() {
        let run = RunIdentity::new(9);
        let ticket = run.register("t").unwrap();
        ticket.raise(6);
        let mut sender = SenderAccount::new(ticket.producer, "in");
        sender.sent = 6;
        sender.acked = (0..6).collect();
        let by = |path| MatchBy::path(path).unwrap();
        let matcher = Matcher::new(Matching { input: by("$.after.id"), output: by("$.id") });
        let output = |offset: i64, id: &str| {
            let payload = format!("{{\"id\":{id},\"extra\":true}}");
            matcher.output(SeenAt { partition: 0, offset, at_us: 0 }, None, None, Some(payload.as_bytes()));
        };
        // Outputs may be seen before their inputs; 3 is lost, 4 comes twice, 99 was never put in.
        ["0", "\"1\"", "2", "4", "4", "99", "5", "5"]
            .iter()
            .enumerate()
            .for_each(|(offset, id)| output(offset as i64, id));
        for (sequence, id) in [0u64, 1, 2, 3, 4, 5].into_iter().enumerate() {
            let identity = Identity {
                nonce: 9,
                producer: 0,
                sequence: sequence as u64,
                due_us: 0,
                body_crc: 0,
                around: 0,
                warmup: false,
            };
            let payload = format!("{{\"after\":{{\"id\":{id}}}}}");
            assert!(matcher.input(identity, None, Some(payload.as_bytes())));
        }
        let mut read = ReaderAccount::new(run.clone(), "out", None, false);
        read.assigned(None, 0, Some(0));
        for offset in 0..8 {
            read.record(&Sighting {
                partition: 0,
                offset,
                at_us: 0,
                life: 0,
                identity: Err(IdentityError::Absent),
                altered: false,
            });
        }
        read.drain_to(&BTreeMap::from([(0, 8)]));
        let Matches { account, ambiguous, placed, unknown } = matcher.settle(run, &read, &[]);
        assert_eq!((ambiguous, placed.len() as u64, unknown), (0, read.read, 0));
        let report = Ledger::new([&sender], [&account]).settle(None);
        let sequences = |class| report.samples(class).iter().map(|s| s.sequence.unwrap()).collect::<Vec<_>>();
        assert!(report.drained);
        assert_eq!(sequences(Class::Lost), [3]);
        assert_eq!(sequences(Class::Duplicated), [4, 5]);
        assert_eq!(report.count(Class::Foreign), 1);
        assert!(MatchBy::path("$..id").is_err());
        assert_eq!(MatchBy::path("$[0]['a']"), MatchBy::path("0.a"));
    }

    #[test]
    fn inputs_that_share_a_value_are_told_apart_only_where_outputs_carry_identities() {
        let run = RunIdentity::new(9);
        let ticket = run.register("t").unwrap();
        ticket.raise(3);
        let identity =
            |sequence| Identity { nonce: 9, producer: 0, sequence, due_us: 0, body_crc: 0, around: 0, warmup: false };
        let settle = |carried: bool| {
            let matcher = Matcher::new(Matching { input: MatchBy::Key, output: MatchBy::Key });
            for (sequence, key) in [b"a", b"a", b"b"].into_iter().enumerate() {
                matcher.input(identity(sequence as u64), Some(key), None);
            }
            let mut read = ReaderAccount::new(run.clone(), "out", None, false);
            // The first `a` is missing, the second came twice.
            for (offset, (key, sequence)) in [(b"a", 1), (b"a", 1), (b"b", 2)].into_iter().enumerate() {
                let place = SeenAt { partition: 0, offset: offset as i64, at_us: 0 };
                matcher.output(place, carried.then(|| identity(sequence)), Some(key), None);
                read.record(&Sighting {
                    partition: 0,
                    offset: offset as i64,
                    at_us: 0,
                    life: 0,
                    identity: Err(IdentityError::Absent),
                    altered: false,
                });
            }
            let Matches { account, ambiguous, .. } = matcher.settle(run.clone(), &read, &[]);
            (account.producer_seen(0).unwrap().seen.iter().collect::<Vec<_>>(), ambiguous)
        };
        assert_eq!(settle(true), (vec![1, 2], 0));
        assert_eq!(settle(false).1, 2);
    }

    #[test]
    fn a_message_that_stands_twice_at_the_input_is_one_message() {
        let run = RunIdentity::new(9);
        let ticket = run.register("t").unwrap();
        ticket.raise(2);
        let mut sender = SenderAccount::new(ticket.producer, "in");
        (sender.sent, sender.acked) = (2, (0..2).collect());
        let identity =
            |sequence| Identity { nonce: 9, producer: 0, sequence, due_us: 0, body_crc: 0, around: 0, warmup: false };
        let matcher = Matcher::new(Matching { input: MatchBy::Key, output: MatchBy::Key });
        // A retry wrote the first one again, and the pipeline has written both.
        for (sequence, key) in [(0, b"a"), (1, b"b"), (0, b"a")] {
            assert!(matcher.input(identity(sequence), Some(key), None));
        }
        let mut read = ReaderAccount::new(run.clone(), "out", None, false);
        for (offset, key) in (0..).zip([b"a", b"b", b"a"]) {
            matcher.output(SeenAt { partition: 0, offset, at_us: 0 }, None, Some(key), None);
            let identity = Err(IdentityError::Absent);
            read.record(&Sighting { partition: 0, offset, at_us: 0, life: 0, identity, altered: false });
        }
        read.drain_to(&BTreeMap::from([(0, 3)]));
        let Matches { account, ambiguous, placed, unknown } = matcher.settle(run, &read, &[]);
        assert_eq!((ambiguous, placed.len() as u64, unknown), (0, read.read, 0));
        let report = Ledger::new([&sender], [&account]).settle(None);
        assert_eq!((report.count(Class::Lost), report.count(Class::Duplicated)), (0, 1));
    }
}
