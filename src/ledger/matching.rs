//! Identity by content, for pipelines that rewrite payloads: what goes in is held against what comes
//! out by key or by a value inside of the JSON payload.

use super::{Identity, ReaderAccount, RunIdentity, Sighting};
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

/// What input and output of a message have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MatchBy {
    /// The key, byte by byte.
    Key,
    /// A value in the JSON payload, as path from its root.
    Json(Vec<String>),
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
        let path = path.trim().trim_start_matches('$');
        let path = path.strip_prefix(['.', '[']).unwrap_or(path);
        let steps: Vec<String> = path
            .split(['.', '['])
            .map(|step| step.trim_end_matches(']').trim_matches(['\'', '"']).to_owned())
            .collect();
        match steps.iter().any(String::is_empty) {
            true => Err(format!("`{path}` is not a path of names and indexes such as `$.after.id`")),
            false => Ok(Self::Json(steps)),
        }
    }

    /// The value of a message, hashed; `None` where it has none.
    fn value(&self, key: Option<&[u8]>, payload: Option<&[u8]>) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        match self {
            Self::Key => key?.hash(&mut hasher),
            Self::Json(steps) => {
                let root: serde_json::Value = serde_json::from_slice(payload?).ok()?;
                let value = steps.iter().try_fold(&root, |value, step| match value {
                    serde_json::Value::Array(items) => items.get(step.parse::<usize>().ok()?),
                    other => other.get(step),
                })?;
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
    inputs: HashMap<u64, VecDeque<Identity>>,
    outputs: Vec<(Option<u64>, Place)>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    partition: i32,
    offset: i64,
    at_us: i64,
}

impl Matcher {
    /// A matcher without messages.
    pub fn new(by: Matching) -> Self {
        Self { by, sides: Mutex::default() }
    }

    fn sides(&self) -> MutexGuard<'_, Sides> {
        self.sides.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A message of the run at the input; false where it lacks the value to match by.
    pub fn input(&self, identity: Identity, key: Option<&[u8]>, payload: Option<&[u8]>) -> bool {
        let Some(value) = self.by.input.value(key, payload) else {
            return false;
        };
        self.sides().inputs.entry(value).or_default().push_back(identity);
        true
    }

    /// A message at the output, once for each offset.
    pub fn output(&self, partition: i32, offset: i64, at_us: i64, key: Option<&[u8]>, payload: Option<&[u8]>) {
        let value = self.by.output.value(key, payload);
        self.sides().outputs.push((value, Place { partition, offset, at_us }));
    }

    /// Gives every output the identity of its input: the n-th output of a value that of its n-th
    /// input, further ones that of its last. What matches no input is foreign. `read` is the account
    /// of the reader at the output, who decides which outputs count and how many came again; the
    /// result goes into the ledger in its place.
    pub fn settle(&self, run: Arc<RunIdentity>, read: &ReaderAccount) -> ReaderAccount {
        let mut sides = self.sides();
        let mut account = read.without_messages(run);
        if let Some(redelivered) = read.classes.get(&super::Class::Redelivered) {
            account.classes.insert(super::Class::Redelivered, redelivered.clone());
        }
        let outputs = std::mem::take(&mut sides.outputs);
        for (value, place) in outputs.into_iter().filter(|(_, place)| read.has_read(place.partition, place.offset)) {
            let inputs = value.and_then(|value| sides.inputs.get_mut(&value));
            let identity = match inputs {
                None => Err(super::IdentityError::Absent),
                Some(inputs) if inputs.len() > 1 => inputs.pop_front().ok_or(super::IdentityError::Absent),
                Some(inputs) => inputs.front().copied().ok_or(super::IdentityError::Absent),
            };
            account.record(&Sighting {
                partition: place.partition,
                offset: place.offset,
                at_us: place.at_us,
                identity: identity.map(|identity| (identity, true)),
            });
        }
        account
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Class, IdentityError, Ledger, SenderAccount};
    use std::collections::BTreeMap;

    #[test]
    fn a_pipeline_is_checked_from_end_to_end() {
        let run = RunIdentity::new(9);
        let ticket = run.register().unwrap();
        ticket.raise(6);
        let mut sender = SenderAccount::new(ticket.producer, "in");
        sender.sent = 6;
        sender.acked = (0..6).collect();
        let by = |path| MatchBy::path(path).unwrap();
        let matcher = Matcher::new(Matching { input: by("$.after.id"), output: by("$.id") });
        let output = |offset: i64, id: &str| {
            let payload = format!("{{\"id\":{id},\"extra\":true}}");
            matcher.output(0, offset, 0, None, Some(payload.as_bytes()));
        };
        // Outputs may be seen before their inputs; 3 is lost, 4 comes twice, 99 was never put in.
        ["0", "\"1\"", "2", "4", "4", "99", "5", "5"]
            .iter()
            .enumerate()
            .for_each(|(offset, id)| output(offset as i64, id));
        for (sequence, id) in [0u64, 1, 2, 3, 4, 5].into_iter().enumerate() {
            let identity =
                Identity { nonce: 9, producer: 0, sequence: sequence as u64, due_us: 0, body_crc: 0, warmup: false };
            let payload = format!("{{\"after\":{{\"id\":{id}}}}}");
            assert!(matcher.input(identity, None, Some(payload.as_bytes())));
        }
        let mut read = ReaderAccount::new(run.clone(), "out", None, false);
        read.assigned(0, 0);
        for offset in 0..8 {
            read.record(&Sighting { partition: 0, offset, at_us: 0, identity: Err(IdentityError::Absent) });
        }
        read.drain_to(&BTreeMap::from([(0, 8)]));
        let account = matcher.settle(run, &read);
        let report = Ledger::new([&sender], [&account]).settle(None);
        let sequences = |class| report.samples(class).iter().map(|s| s.sequence.unwrap()).collect::<Vec<_>>();
        assert!(report.drained);
        assert_eq!(sequences(Class::Lost), [3]);
        assert_eq!(sequences(Class::Duplicated), [4, 5]);
        assert_eq!(report.count(Class::Foreign), 1);
        assert!(MatchBy::path("$..id").is_err());
        assert_eq!(MatchBy::path("$[0]['a']"), MatchBy::path("0.a"));
    }
}
