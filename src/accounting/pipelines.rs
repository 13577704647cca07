//! What a run has seen of its pipelines. Logs are cut off and topics deleted; what stood at an input has stood there, and what was read stays
//! read.

use super::matching::{MatchBy, Matching, Placed};
use super::{Identity, PagedBitmap, ReaderAccount, RunIdentity};
use crate::ground::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// Messages at the inputs of pipelines that are remembered: about 50 MB. What goes beyond is known only as long as its log has it.
const MOST: usize = 1 << 20;
/// Places behind pipelines that are remembered: about as much. Of those beyond nothing is known once their log has them no more.
const MOST_PLACES: usize = 1 << 19;

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

/// What a reader has read behind a pipeline.
#[derive(Debug)]
struct Read {
    reader: String,
    topics: BTreeSet<String>,
    by: Matching,
    /// Of what stood at the input, by producer.
    seen: BTreeMap<u16, PagedBitmap>,
    /// At which places.
    placed: Arc<Vec<Placed>>,
}

impl Remembered {
    /// What is remembered of a reader.
    fn of(&mut self, topics: &BTreeSet<String>, by: &Matching, reader: &str) -> &mut Read {
        let is_it = |read: &Read| read.reader == reader && read.topics == *topics && read.by == *by;
        let place = self.read.iter().position(is_it).unwrap_or_else(|| {
            let (topics, by) = (topics.clone(), by.clone());
            self.read.push(Read {
                reader: reader.to_owned(),
                topics,
                by,
                seen: BTreeMap::new(),
                placed: Arc::default(),
            });
            self.read.len() - 1
        });
        &mut self.read[place]
    }
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

    /// Where a reader was known to have read at an earlier look, and what.
    pub fn placed(&self, topics: &BTreeSet<String>, by: &Matching, reader: &str) -> Arc<Vec<Placed>> {
        Arc::clone(&self.all().of(topics, by, reader).placed)
    }

    /// All places at which it is known to have read by now.
    pub fn keep_placed(&self, topics: &BTreeSet<String>, by: &Matching, reader: &str, placed: Vec<Placed>) {
        let mut all = self.all();
        all.of(topics, by, reader).placed = Arc::default();
        let kept: usize = all.read.iter().map(|read| read.placed.len()).sum();
        if kept + placed.len() <= MOST_PLACES {
            all.of(topics, by, reader).placed = Arc::new(placed);
        }
    }

    /// Enters into the account of a reader what it had read at an earlier look and is not in its log any more, and remembers all of it.
    pub fn join(&self, topics: &BTreeSet<String>, by: &Matching, run: &RunIdentity, account: &mut ReaderAccount) {
        let mut all = self.all();
        let known = &mut all.of(topics, by, &account.step).seen;
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

    /// How many logs stood in a partition before the one that it reads now.
    pub(super) fn former_logs(&self, partition: i32) -> usize {
        self.partitions.get(&partition).map_or(0, |seen| seen.earlier.len())
    }

    /// How many places it has read, over all logs.
    pub(super) fn places(&self) -> u64 {
        let logs = self.partitions.values().flat_map(|seen| seen.earlier.iter().chain([&seen.log]));
        logs.map(|log| log.offsets.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::matching::{Matcher, Matches, SeenAt};
    use super::*;
    use crate::accounting::{Class, IdentityError, Ledger, SenderAccount, Sighting, Why};

    fn identity(sequence: u64) -> Identity {
        Identity { nonce: 9, producer: 0, sequence, due_us: 0, body_crc: 0, around: 0, warmup: false }
    }

    fn by_key() -> Matching {
        Matching { input: MatchBy::Key, output: MatchBy::Key }
    }

    fn topics() -> BTreeSet<String> {
        BTreeSet::from(["in".to_owned()])
    }

    /// Who has been given so many messages without an identity.
    fn reader(run: &Arc<RunIdentity>, places: i64) -> ReaderAccount {
        let mut read = ReaderAccount::new(run.clone(), "out", None, false);
        for offset in 0..places {
            let identity = Err(IdentityError::Absent);
            read.record(&Sighting { partition: 0, offset, at_us: 0, life: 0, identity, altered: false });
        }
        read.drain_to(&BTreeMap::from([(0, places)]));
        read
    }

    /// A pipeline whose logs have these inputs, and these outputs, each with its offset.
    fn matcher(memory: Option<&Pipelines>, inputs: &[u8], outputs: &[(i64, u8)]) -> Matcher {
        let matcher = Matcher::new(by_key());
        if let Some(memory) = memory {
            matcher.recall(&memory.inputs(&topics(), &MatchBy::Key));
        }
        for number in inputs {
            assert!(matcher.input(identity(u64::from(*number)), Some(&[*number]), None));
        }
        for (offset, number) in outputs {
            matcher.output(SeenAt { partition: 0, offset: *offset, at_us: 0 }, None, Some(&[*number]), None);
        }
        matcher
    }

    /// A look at a pipeline of three messages: lost, doubled and foreign ones, and places that were read of which nothing is known.
    fn looked(memory: Option<&Pipelines>, matcher: &Matcher, run: &Arc<RunIdentity>, read: &ReaderAccount) -> [u64; 4] {
        let before = memory.map(|memory| memory.placed(&topics(), &by_key(), "")).unwrap_or_default();
        let Matches { mut account, ambiguous, placed, unknown } = matcher.settle(run.clone(), read, &before);
        assert_eq!(ambiguous, 0);
        if let Some(memory) = memory {
            memory.join(&topics(), &by_key(), run, &mut account);
            memory.keep_inputs(&topics(), &MatchBy::Key, matcher.inputs());
            memory.keep_placed(&topics(), &by_key(), "", placed);
        }
        let mut sender = SenderAccount::new(0, "in");
        (sender.sent, sender.complete, sender.acked) = (3, true, (0..3).collect());
        let report = Ledger::new([&sender], [&account]).settle(None);
        assert_eq!(report.sheet.imbalance(), None);
        let [lost, doubled, foreign] =
            [Class::Lost, Class::Duplicated, Class::Foreign].map(|class| report.count(class));
        [lost, doubled, foreign, unknown]
    }

    /// The same of a reader that was given three messages, of which the output has these.
    fn look(memory: Option<&Pipelines>, run: &Arc<RunIdentity>, inputs: &[u8], outputs: &[u8]) -> (u64, u64, u64) {
        let outputs: Vec<(i64, u8)> = outputs.iter().map(|number| (i64::from(*number), *number)).collect();
        let [lost, doubled, foreign, _] = looked(memory, &matcher(memory, inputs, &outputs), run, &reader(run, 3));
        (lost, doubled, foreign)
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
    fn what_came_again_behind_a_cut_is_a_copy_and_what_was_foreign_stays_it() {
        let run = RunIdentity::new(9);
        run.register("in").unwrap().raise(3);
        let memory = Pipelines::default();
        let of = |places: i64, outputs: &[(i64, u8)]| {
            let matcher = matcher(Some(&memory), &[0, 1, 2], outputs);
            looked(Some(&memory), &matcher, &run, &reader(&run, places))
        };
        assert_eq!(of(4, &[(0, 0), (1, 1), (2, 2), (3, 9)]), [0, 0, 1, 0], "one is nobody's");
        // All of it is deleted, and the pipeline begins again.
        assert_eq!(of(7, &[(4, 0), (5, 1), (6, 2)]), [0, 3, 1, 0]);
        assert_eq!(of(7, &[]), [0, 3, 1, 0]);
        // One more was read and deleted between two looks.
        assert_eq!(of(9, &[(8, 0)]), [0, 4, 1, 1]);
        // Deleted before anybody has looked.
        let matcher = matcher(None, &[0, 1, 2], &[(2, 2)]);
        assert_eq!(looked(None, &matcher, &run, &reader(&run, 3)), [2, 0, 0, 2]);
    }

    #[test]
    fn what_was_read_of_an_output_that_was_made_anew_is_known() {
        let run = RunIdentity::new(9);
        run.register("in").unwrap().raise(3);
        let (memory, mut read) = (Pipelines::default(), reader(&run, 3));
        read.is_of_topic([1; 16], 0);
        let first = matcher(Some(&memory), &[0, 1, 2], &[(0, 0), (1, 1), (2, 2)]);
        assert_eq!(looked(Some(&memory), &first, &run, &read), [0, 0, 0, 0]);
        read.is_of_topic([2; 16], 1);
        let identity = Err(IdentityError::Absent);
        read.record(&Sighting { partition: 0, offset: 0, at_us: 0, life: 0, identity, altered: false });
        assert_eq!((read.former_logs(0), read.places()), (1, 4));
        let second = matcher(Some(&memory), &[0, 1, 2], &[(0, 0)]);
        let [lost, .., unknown] = looked(Some(&memory), &second, &run, &read);
        assert_eq!((lost, unknown), (0, 0));
    }

    #[test]
    fn what_nobody_can_tell_of_is_unread_and_what_did_not_come_is_lost() {
        let run = RunIdentity::new(9);
        run.register("in").unwrap().raise(3);
        let read = reader(&run, 1);
        let Matches { account, .. } = matcher(None, &[0, 1, 2], &[(0, 0)]).settle(run, &read, &[]);
        let mut sender = SenderAccount::new(0, "in");
        (sender.sent, sender.complete, sender.acked) = (3, true, (0..3).collect());
        // One of them was read after all.
        let untold = BTreeMap::from([(0, [0, 2].into_iter().collect::<PagedBitmap>())]);
        let report = Ledger::new([&sender], [&account]).untold(&untold).settle(None);
        assert_eq!((report.count(Class::Lost), report.count(Class::Unread)), (1, 1));
        assert_eq!(report.unread_because, BTreeMap::from([(Why::LogsCut, 1)]));
        assert!(report.drained && report.sheet.imbalance().is_none());
    }

    #[test]
    fn what_is_remembered_of_inputs_is_bounded() {
        let (memory, topics) = (Pipelines::default(), BTreeSet::from(["in".to_owned()]));
        memory.keep_inputs(&topics, &MatchBy::Key, vec![(1, identity(1))]);
        assert_eq!(memory.inputs(&topics, &MatchBy::Key).len(), 1);
        assert!(memory.inputs(&BTreeSet::new(), &MatchBy::Key).is_empty());
        memory.keep_inputs(&topics, &MatchBy::Key, vec![(1, identity(1)); MOST + 1]);
        assert!(memory.inputs(&topics, &MatchBy::Key).is_empty());
        let placed = Placed { place: SeenAt { partition: 0, offset: 0, at_us: 0 }, log: 0, identity: None };
        memory.keep_placed(&topics, &by_key(), "o", vec![placed]);
        assert_eq!(memory.placed(&topics, &by_key(), "o").len(), 1);
        memory.keep_placed(&topics, &by_key(), "p", vec![placed; MOST_PLACES]);
        assert!(memory.placed(&topics, &by_key(), "p").is_empty());
        assert_eq!(memory.placed(&topics, &by_key(), "o").len(), 1, "that of another reader stays");
    }
}
