//! Through a pipeline that rewrites messages: what went in is recognised by key or value.

use super::PATIENCE;
use super::scan::read_through;
use crate::accounting::matching::{Matcher, Matches, Matching, SeenAt};
use crate::accounting::pipelines::Inputs;
use crate::accounting::{AckedOffsets, Identity, PagedBitmap, ReaderAccount, SenderAccount, Settlement};
use crate::kafka::KafkaFailure;
use crate::record::Quantity;
use crate::verb::{SharedRun, StepError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the readers of a pipeline's output have read of what went in.
pub(super) struct Matched {
    /// Their accounts, as if they had read the input.
    pub(super) readers: Vec<ReaderAccount>,
    /// Why that is not certain.
    pub(super) uncertain: Vec<String>,
}

/// What is not in the logs any more, and nobody had looked at before.
#[derive(Debug, Default)]
struct Gone {
    /// The inputs of which a part is gone.
    inputs: BTreeSet<String>,
    /// By reader: how many places it has read of which nobody knows what stood there.
    places: BTreeMap<String, u64>,
    /// Messages that were seen at the input, by producer.
    stood: BTreeMap<u16, PagedBitmap>,
}

/// Both logs are read again: the input's for the identities, the output's for the values at the offsets that the readers saw. What they
/// had at an earlier look is remembered.
pub(super) async fn accounts(
    run: &Arc<SharedRun>,
    settlement: &mut Settlement,
    matching: &Matching,
) -> Result<Matched, StepError> {
    let inputs: BTreeSet<String> = settlement.senders.iter().map(|account| account.topic.clone()).collect();
    let (mut matched, memory) = (Matched { readers: Vec::new(), uncertain: Vec::new() }, run.settlements.pipelines());
    let mut gone = Gone::default();
    for account in &settlement.readers {
        let (topics, by, run_of) = (inputs.clone(), matching.clone(), Arc::clone(run));
        let (output, read_committed) = (account.topic.clone(), account.read_committed);
        let known = memory.inputs(&inputs, &matching.input);
        let reading = move || read_both(&run_of, &topics, &output, read_committed, by, &known);
        let (matcher, cut_off) = tokio::task::spawn_blocking(reading)
            .await
            .map_err(|error| StepError::broken("defect", error.to_string()).because(error))??;
        let before = memory.placed(&inputs, matching, &account.step);
        let Matches { account: mut settled, ambiguous, placed, unknown } =
            matcher.settle(Arc::clone(&run.identity), account, &before);
        memory.keep_inputs(&inputs, &matching.input, matcher.inputs());
        if ambiguous == 0 {
            memory.join(&inputs, matching, &run.identity, &mut settled);
            memory.keep_placed(&inputs, matching, &account.step, placed);
        } else if matched.uncertain.is_empty() {
            matched.uncertain.push(format!(
                "{ambiguous} messages have the same value to match by as another one, so that a message that is missing and one \
                 that came twice cannot be told apart: `match:` needs values that differ"
            ));
        }
        gone.inputs.extend(cut_off);
        if unknown > 0 {
            gone.places.insert(account.step.clone(), unknown);
        }
        for sender in &settlement.senders {
            gone.stood.entry(sender.producer).or_default().union_with(&matcher.stood(sender.producer));
        }
        matched.readers.push(settled);
    }
    gone.inputs.extend(replaced(run, &settlement.senders).await);
    settlement.untold = gone.untold(&settlement.senders, &matched.readers);
    matched.uncertain.extend(gone.told(&settlement.senders, &settlement.untold));
    // Where a message stood at the input says nothing about the output's log.
    settlement.senders.iter_mut().for_each(|sender| sender.offsets = AckedOffsets::default());
    Ok(matched)
}

/// The topics of the senders that are not the ones any more to which they wrote.
async fn replaced(run: &SharedRun, senders: &[SenderAccount]) -> BTreeSet<String> {
    let mut replaced = BTreeSet::new();
    for sender in senders.iter().filter(|sender| !sender.topic_ids.is_empty()) {
        if !replaced.contains(&sender.topic)
            && let Some(now) = run.topic_id(&sender.topic).await
            && sender.topic_ids.iter().any(|id| *id != now)
        {
            replaced.insert(sender.topic.clone());
        }
    }
    replaced
}

impl Gone {
    /// The acknowledged messages of which nobody can tell whether they came through: no reader has been seen to read them, and they are gone
    /// from an input before anybody saw them there, or may be what a reader has read at places that are gone.
    fn untold(&self, senders: &[SenderAccount], readers: &[ReaderAccount]) -> BTreeMap<u16, PagedBitmap> {
        let mut untold: BTreeMap<u16, PagedBitmap> = BTreeMap::new();
        for sender in senders {
            let is_cut = self.inputs.contains(&sender.topic);
            if !is_cut && self.places.is_empty() {
                continue;
            }
            let stood = self.stood.get(&sender.producer).filter(|_| self.places.is_empty());
            let mut known = stood.cloned().unwrap_or_default();
            readers.iter().filter_map(|reader| reader.seen_of(sender.producer)).for_each(|seen| known.union_with(seen));
            let missing: PagedBitmap = sender.acked.difference(&known).collect();
            if !missing.is_empty() {
                untold.entry(sender.producer).or_default().union_with(&missing);
            }
        }
        untold
    }

    /// Why something is not known, in words.
    fn told(&self, senders: &[SenderAccount], untold: &BTreeMap<u16, PagedBitmap>) -> Vec<String> {
        let places = self.places.iter().map(|(reader, places)| {
            format!(
                "the output of the pipeline is not all there any more: of {} messages that `{reader}` has read it is not known what they \
                 were; check the delivery before they go",
                Quantity::count(*places)
            )
        });
        let mut of: BTreeMap<&str, u64> = BTreeMap::new();
        for sender in senders.iter().filter(|sender| self.inputs.contains(&sender.topic)) {
            let stood = self.stood.get(&sender.producer);
            let unseen = |message: &u64| stood.is_none_or(|stood| !stood.contains(*message));
            let count = untold.get(&sender.producer).map_or(0, |all| all.iter().filter(unseen).count() as u64);
            if count > 0 {
                *of.entry(&sender.topic).or_default() += count;
            }
        }
        let listed = of.iter().map(|(topic, count)| format!("{} of `{topic}`", Quantity::count(*count)));
        let listed = listed.collect::<Vec<_>>().join(", ");
        let inputs = (!of.is_empty()).then(|| {
            format!(
                "the input of the pipeline is not all there any more: acknowledged messages ({listed}) are gone from it, and whether \
                 they came out of the pipeline is not known; check the delivery before they go"
            )
        });
        places.chain(inputs).collect()
    }
}

/// Reads the inputs, beside what is `known` of them, and the output; with the inputs that do not begin with their first message any more.
fn read_both(
    run: &SharedRun,
    inputs: &BTreeSet<String>,
    output: &str,
    read_committed: bool,
    matching: Matching,
    known: &Inputs,
) -> Result<(Matcher, BTreeSet<String>), StepError> {
    let failed = |error: KafkaFailure| StepError::broken("read-again", error.to_string()).because(error);
    let (connection, nonce) = (run.connection(), run.identity.nonce());
    let matcher = Matcher::new(matching);
    matcher.recall(known);
    let (mut ours, mut without, mut cut) = (0_u64, 0_u64, BTreeSet::new());
    for topic in inputs {
        // With aborted transactions: a pipeline that passes them on has to be found out.
        let bounds = read_through(&connection, topic, false, PATIENCE, |message| {
            if let Ok((identity, _)) = Identity::of(message)
                && identity.nonce == nonce
            {
                ours += 1;
                without += u64::from(!matcher.input(identity, message.key, message.payload));
            }
        });
        match bounds {
            Ok(bounds) if bounds.start.values().all(|start| *start == 0) => {}
            Ok(_) => _ = cut.insert(topic.clone()),
            Err(error) if is_absent(&error) && !known.is_empty() => _ = cut.insert(topic.clone()),
            Err(error) => return Err(failed(error)),
        }
    }
    if without > 0 {
        let message = format!("{without} of {ours} messages at the input lack the value to match by");
        return Err(StepError::broken("match", message).at("/delivery").help("check `match:`, and the payload or key"));
    }
    let now_us = jiff::Timestamp::now().as_microsecond();
    read_through(&connection, output, read_committed, PATIENCE, |message| {
        let at_us = message.timestamp_ms().map_or(now_us, |ms| ms.saturating_mul(1000));
        let place = SeenAt { partition: message.partition, offset: message.offset, at_us };
        let identity = Identity::of(message).ok().map(|found| found.0).filter(|found| found.nonce == nonce);
        matcher.output(place, identity, message.key, message.payload);
    })
    .map_err(failed)?;
    Ok((matcher, cut))
}

/// Whether there is no such topic any more.
fn is_absent(error: &KafkaFailure) -> bool {
    matches!(error.name(), Some("UNKNOWN_TOPIC_OR_PART" | "_UNKNOWN_TOPIC" | "_UNKNOWN_PARTITION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender() -> SenderAccount {
        SenderAccount { acked: (0..10).collect(), ..SenderAccount::new(3, "in") }
    }

    #[test]
    fn only_what_nobody_saw_at_an_input_that_was_cut_off_is_not_known() {
        let senders = [sender()];
        let told = |stood: std::ops::Range<u64>, cut: &[&str]| {
            let inputs = cut.iter().map(|topic| (*topic).to_owned()).collect();
            let gone = Gone { inputs, stood: BTreeMap::from([(3, stood.collect())]), ..Gone::default() };
            let untold = gone.untold(&senders, &[]);
            let missing = untold.get(&3).map(|all| all.iter().collect::<Vec<_>>()).unwrap_or_default();
            (missing, gone.told(&senders, &untold).join("; "))
        };
        assert_eq!(told(0..10, &["in"]), (vec![], String::new()), "all of them were seen");
        assert_eq!(told(0..7, &[]), (vec![], String::new()), "the log is whole: what is not in it is lost");
        let (missing, why) = told(0..7, &["in"]);
        assert_eq!(missing, [7, 8, 9], "what stood there and did not come out is lost");
        assert!(why.contains("3 of `in`") && why.contains("not all there any more"), "{why}");
        let (missing, why) = told(0..0, &["in"]);
        assert!(missing.len() == 10 && why.contains("10 of `in`"), "{why}");
    }

    #[test]
    fn what_a_reader_had_read_before_it_was_gone_may_be_any_of_the_messages() {
        let senders = [sender()];
        let places = BTreeMap::from([("out".to_owned(), 4)]);
        let gone = Gone { places, stood: BTreeMap::from([(3, (0..10).collect())]), ..Gone::default() };
        let untold = gone.untold(&senders, &[]);
        assert_eq!(untold[&3].len(), 10);
        let why = gone.told(&senders, &untold);
        assert_eq!(why.len(), 1, "all of them stood at the input: {why:?}");
        assert!(why[0].contains("of 4 messages that `out` has read"), "{why:?}");
    }
}
