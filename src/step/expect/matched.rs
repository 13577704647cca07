//! `match:` of `expect: delivery`: through a pipeline that rewrites messages.

use super::PATIENCE;
use crate::execute::Run;
use crate::ledger::matching::{MatchBy, Matcher, Matching};
use crate::ledger::{Identity, Ledger, LedgerReport, ReaderAccount, SenderAccount, read_through};
use crate::step::StepError;
use crate::step::consume::Reader;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Reads `key`, or `{ path: $.after.id, output: $.id }`.
pub(super) fn parse(value: Value) -> Result<Matching, String> {
    const EXPECTED: &str = "`match` is key, or { path: $.after.id }, with `output: $.id` where the output has it elsewhere";
    let by = |value: &Value| MatchBy::path(value.as_str().ok_or(EXPECTED)?);
    match &value {
        Value::String(word) if word == "key" => Ok(Matching { input: MatchBy::Key, output: MatchBy::Key }),
        Value::Object(map) if map.keys().all(|key| ["path", "output"].contains(&key.as_str())) => {
            let input = by(map.get("path").ok_or(EXPECTED)?)?;
            let output = map.get("output").map(by).transpose()?.unwrap_or_else(|| input.clone());
            Ok(Matching { input, output })
        }
        _ => Err(EXPECTED.to_owned()),
    }
}

/// The schema of `match:`.
pub(super) fn schema() -> Value {
    json!({
        "description": "How a message is recognised where a pipeline rewrites it: by `key`, or by a value of the JSON payload. Needs values that differ; the n-th output of a value is that of its n-th input.",
        "if": { "type": "string" },
        "then": { "enum": ["key"] },
        "else": {
            "type": "object",
            "properties": {
                "path": { "description": "Where the value is, such as `$.after.id`.", "type": "string" },
                "output": { "description": "Where the output has it, if elsewhere.", "type": "string" }
            },
            "required": ["path"],
            "additionalProperties": false
        }
    })
}

/// The account between senders and the readers of the pipeline's output. Both logs are read again: the input's for the
/// identities, the output's for the values at the offsets that the readers saw.
pub(super) async fn settle(
    run: &Arc<Run>,
    sent: &[&SenderAccount],
    readers: &[&Reader],
    matching: &Matching,
) -> Result<LedgerReport, StepError> {
    let inputs: BTreeSet<String> = sent.iter().map(|account| account.topic.clone()).collect();
    let mut accounts: Vec<ReaderAccount> = Vec::new();
    for reader in readers {
        let Some((output, read_committed)) =
            reader.account(|account| (account.topic.clone(), account.read_committed))
        else {
            continue;
        };
        let (inputs, matching, run_of) = (inputs.clone(), matching.clone(), Arc::clone(run));
        let reading = move || read_both(&run_of, &inputs, &output, read_committed, matching);
        let matcher = tokio::task::spawn_blocking(reading)
            .await
            .map_err(|error| StepError::broken("defect", error.to_string()))??;
        accounts.extend(reader.account(|account| matcher.settle(Arc::clone(&run.identity), account)));
    }
    Ok(Ledger::new(sent.iter().copied(), accounts.iter()).settle(None))
}

fn read_both(
    run: &Run,
    inputs: &BTreeSet<String>,
    output: &str,
    read_committed: bool,
    matching: Matching,
) -> Result<Matcher, StepError> {
    let failed = |error: crate::kafka::KafkaFailure| StepError::broken("read-again", error.to_string());
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
        matcher.output(message.partition, message.offset, at_us, message.key, message.payload);
    })
    .map_err(failed)?;
    Ok(matcher)
}
