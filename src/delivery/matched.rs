//! Through a pipeline that rewrites messages: what went in is recognised by key or value.

use super::PATIENCE;
use super::scan::read_through;
use crate::accounting::matching::{Matcher, Matching, SeenAt};
use crate::accounting::{AckedOffsets, Identity, ReaderAccount, Settlement};
use crate::verb::{SharedRun, StepError};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the readers of a pipeline's output have read of what went in.
pub(super) struct Matched {
    /// Their accounts, as if they had read the input.
    pub(super) readers: Vec<ReaderAccount>,
    /// Why that is not certain.
    pub(super) ambiguous: Option<String>,
}

/// Both logs are read again: the input's for the identities, the output's for the values at the offsets that the readers saw.
pub(super) async fn accounts(
    run: &Arc<SharedRun>,
    settlement: &mut Settlement,
    matching: &Matching,
) -> Result<Matched, StepError> {
    let inputs: BTreeSet<String> = settlement.senders.iter().map(|account| account.topic.clone()).collect();
    let mut matched = Matched { readers: Vec::new(), ambiguous: None };
    for account in &settlement.readers {
        let (inputs, matching, run_of) = (inputs.clone(), matching.clone(), Arc::clone(run));
        let (output, read_committed) = (account.topic.clone(), account.read_committed);
        let reading = move || read_both(&run_of, &inputs, &output, read_committed, matching);
        let matcher = tokio::task::spawn_blocking(reading)
            .await
            .map_err(|error| StepError::broken("defect", error.to_string()).because(error))??;
        let (settled, ambiguous) = matcher.settle(Arc::clone(&run.identity), account);
        if ambiguous > 0 && matched.ambiguous.is_none() {
            matched.ambiguous = Some(format!(
                "{ambiguous} messages have the same value to match by as another one, so that a message that is missing and one \
                 that came twice cannot be told apart: `match:` needs values that differ"
            ));
        }
        matched.readers.push(settled);
    }
    // Where a message stood at the input says nothing about the output's log.
    settlement.senders.iter_mut().for_each(|sender| sender.offsets = AckedOffsets::default());
    Ok(matched)
}

fn read_both(
    run: &SharedRun,
    inputs: &BTreeSet<String>,
    output: &str,
    read_committed: bool,
    matching: Matching,
) -> Result<Matcher, StepError> {
    let failed = |error: crate::kafka::KafkaFailure| StepError::broken("read-again", error.to_string()).because(error);
    let (connection, nonce) = (run.connection(), run.identity.nonce());
    let matcher = Matcher::new(matching);
    let (mut ours, mut without) = (0_u64, 0_u64);
    for topic in inputs {
        // With aborted transactions: a pipeline that passes them on has to be found out.
        read_through(&connection, topic, false, PATIENCE, |message| {
            if let Ok((identity, _)) = Identity::of(message)
                && identity.nonce == nonce
            {
                ours += 1;
                without += u64::from(!matcher.input(identity, message.key, message.payload));
            }
        })
        .map_err(failed)?;
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
    Ok(matcher)
}
