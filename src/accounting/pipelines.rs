//! What a run has seen of its pipelines. Logs are cut off and topics deleted; what stood at an input has stood there, and what was read stays
//! read.

use super::matching::{MatchBy, Matching};
use super::{Identity, PagedBitmap, ReaderAccount, RunIdentity};
use crate::ground::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// Messages at the inputs of pipelines that are remembered: about 50 MB. What goes beyond is known only as long as its log has it.
const MOST: usize = 1 << 20;

/// What stood at an input: the value that each message is matched by, hashed, in the order of each value.
pub type Inputs = Vec<(u64, Identity)>;

/// What is remembered of all pipelines, as long as the run lasts.
#[derive(Debug, Default)]
pub struct Pipelines(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    inputs: Vec<(BTreeSet<String>, MatchBy, Arc<Inputs>)>,
    read: Vec<Read>,
}

/// What a reader has read of what stood at an input.
#[derive(Debug)]
struct Read {
    reader: String,
    topics: BTreeSet<String>,
    by: Matching,
    /// By producer.
    seen: BTreeMap<u16, PagedBitmap>,
}

impl Pipelines {
    fn all(&self) -> MutexGuard<'_, Remembered> {
        lock(&self.0)
    }

    /// What has stood at these inputs so far.
    pub fn inputs(&self, topics: &BTreeSet<String>, by: &MatchBy) -> Arc<Inputs> {
        let all = self.all();
        let known = all.inputs.iter().find(|(of, known, _)| of == topics && known == by);
        known.map(|(.., inputs)| Arc::clone(inputs)).unwrap_or_default()
    }

    /// All that has stood at these inputs, by now.
    pub fn keep_inputs(&self, topics: &BTreeSet<String>, by: &MatchBy, inputs: Inputs) {
        let mut all = self.all();
        all.inputs.retain(|(of, known, _)| !(of == topics && known == by));
        let kept: usize = all.inputs.iter().map(|(.., inputs)| inputs.len()).sum();
        if kept + inputs.len() <= MOST {
            all.inputs.push((topics.clone(), by.clone(), Arc::new(inputs)));
        }
    }

    /// Enters into the account of a reader what it had read at an earlier look and is not in its log any more, and remembers all of it.
    pub fn join(&self, topics: &BTreeSet<String>, by: &Matching, run: &RunIdentity, account: &mut ReaderAccount) {
        let mut all = self.all();
        let is_it = |read: &Read| read.reader == account.step && read.topics == *topics && read.by == *by;
        let place = all.read.iter().position(is_it).unwrap_or_else(|| {
            let reader = account.step.clone();
            all.read.push(Read { reader, topics: topics.clone(), by: by.clone(), seen: BTreeMap::new() });
            all.read.len() - 1
        });
        let known = &mut all.read[place].seen;
        for (number, before) in known.iter() {
            let Some(producer) = ReaderAccount::producer(&mut account.producers, run, *number) else { continue };
            let gone: PagedBitmap = before.difference(&producer.seen).collect();
            account.read += gone.len();
            producer.seen.union_with(&gone);
        }
        for (number, producer) in (0_u16..).zip(&account.producers) {
            let Some(producer) = producer.as_ref().filter(|producer| !producer.seen.is_empty()) else { continue };
            known.entry(number).or_default().union_with(&producer.seen);
        }
    }
}

impl ReaderAccount {
    /// Those of a producer's messages that it saw.
    pub fn seen_of(&self, producer: u16) -> Option<&PagedBitmap> {
        self.producer_seen(producer).map(|producer| &producer.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::super::matching::{Matcher, SeenAt};
    use super::*;
    use crate::accounting::{Class, IdentityError, Ledger, SenderAccount, Sighting};

    fn identity(sequence: u64) -> Identity {
        Identity { nonce: 9, producer: 0, sequence, due_us: 0, body_crc: 0, around: 0, warmup: false }
    }

    fn by_key() -> Matching {
        Matching { input: MatchBy::Key, output: MatchBy::Key }
    }

    /// A look at a pipeline of three messages that are all read behind it, of which the logs have these.
    fn look(memory: Option<&Pipelines>, run: &Arc<RunIdentity>, inputs: &[u8], outputs: &[u8]) -> (u64, u64, u64) {
        let topics = BTreeSet::from(["in".to_owned()]);
        let matcher = Matcher::new(by_key());
        if let Some(memory) = memory {
            matcher.recall(&memory.inputs(&topics, &MatchBy::Key));
        }
        for number in inputs {
            assert!(matcher.input(identity(u64::from(*number)), Some(&[*number]), None));
        }
        let mut read = ReaderAccount::new(run.clone(), "out", None, false);
        for number in 0..3_u8 {
            let (offset, identity) = (i64::from(number), Err(IdentityError::Absent));
            read.record(&Sighting { partition: 0, offset, at_us: 0, life: 0, identity, altered: false });
        }
        for number in outputs {
            let place = SeenAt { partition: 0, offset: i64::from(*number), at_us: 0 };
            matcher.output(place, None, Some(&[*number]), None);
        }
        read.drain_to(&BTreeMap::from([(0, 3)]));
        let (mut account, ambiguous) = matcher.settle(run.clone(), &read);
        assert_eq!(ambiguous, 0);
        if let Some(memory) = memory {
            memory.join(&topics, &by_key(), run, &mut account);
            memory.keep_inputs(&topics, &MatchBy::Key, matcher.inputs());
        }
        let mut sender = SenderAccount::new(0, "in");
        (sender.sent, sender.complete, sender.acked) = (3, true, (0..3).collect());
        let report = Ledger::new([&sender], [&account]).settle(None);
        assert_eq!(report.sheet.imbalance(), None);
        (report.count(Class::Lost), report.count(Class::Duplicated), report.count(Class::Foreign))
    }

    #[test]
    fn what_was_read_behind_a_pipeline_stays_read_when_its_logs_are_cut_off() {
        let run = RunIdentity::new(9);
        run.register("in").unwrap().raise(3);
        assert_eq!(look(None, &run, &[], &[0, 1, 2]), (3, 0, 3), "nothing is known without the input");
        let memory = Pipelines::default();
        assert_eq!(look(Some(&memory), &run, &[0, 1, 2], &[0, 1, 2]), (0, 0, 0));
        assert_eq!(look(Some(&memory), &run, &[], &[0, 1, 2]), (0, 0, 0), "its records were deleted");
        assert_eq!(look(Some(&memory), &run, &[2], &[0, 1, 2]), (0, 0, 0), "one stands there still");
        assert_eq!(look(Some(&memory), &run, &[], &[2]), (0, 0, 0), "those of the output were deleted as well");
        // A message that was never read does not come into being by that.
        let memory = Pipelines::default();
        assert_eq!(look(Some(&memory), &run, &[0, 1, 2], &[0, 1]), (1, 0, 0));
        assert_eq!(look(Some(&memory), &run, &[], &[]), (1, 0, 0));
        // What came twice is still a copy.
        assert_eq!(look(Some(&memory), &run, &[], &[0, 1, 2, 2]).0, 0);
    }

    #[test]
    fn what_is_remembered_of_inputs_is_bounded() {
        let (memory, topics) = (Pipelines::default(), BTreeSet::from(["in".to_owned()]));
        memory.keep_inputs(&topics, &MatchBy::Key, vec![(1, identity(1))]);
        assert_eq!(memory.inputs(&topics, &MatchBy::Key).len(), 1);
        assert!(memory.inputs(&BTreeSet::new(), &MatchBy::Key).is_empty());
        memory.keep_inputs(&topics, &MatchBy::Key, vec![(1, identity(1)); MOST + 1]);
        assert!(memory.inputs(&topics, &MatchBy::Key).is_empty());
    }
}
