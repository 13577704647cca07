//! Connectors whose records nobody can tell apart.
//!
//! Who has lost a change cannot be said where another connector may have sent it. Such changes count where they arrive, and are not
//! judged where they do not.

use super::ledger::{ChangeLedger, ConnectorLane};
use super::scope::Owed;
use crate::debezium::Form;
use std::collections::HashSet;
use std::sync::Arc;

impl ChangeLedger<'_> {
    /// Finds connectors that share a prefix and a table, or a topic for records that are no envelopes.
    pub(super) fn tell_apart(&mut self) {
        for second in 1..self.lanes.len() {
            for first in 0..second {
                let (before, rest) = self.lanes.split_at_mut(second);
                let (one, other) = (&mut before[first], &mut rest[0]);
                match (one.scope.rules.form(), other.scope.rules.form()) {
                    (Form::Envelope, Form::Envelope) => share_a_prefix(one, other),
                    (Form::Envelope, _) | (_, Form::Envelope) => {}
                    _ => self.shared.extend(share_a_topic(one, other)),
                }
            }
        }
    }
}

/// Records say by their prefix whose they are: those of both are taken for the first one's.
fn share_a_prefix(one: &ConnectorLane<'_>, other: &mut ConnectorLane<'_>) {
    if one.scope.rules.prefix.is_none() || one.scope.rules.prefix != other.scope.rules.prefix {
        return;
    }
    let tables: HashSet<_> = one.entries.iter().map(|entry| &entry.change.relation.name).collect();
    let reason = format!(
        "connectors {} and {} have the same topic.prefix and capture this table: whose a record is cannot be told; give each a \
         prefix of its own",
        one.scope.rules.connector, other.scope.rules.connector
    );
    doubt(other, &reason.into(), |entry| tables.contains(&entry.change.relation.name));
}

/// Records that are no envelopes do not say whose they are.
fn share_a_topic(one: &mut ConnectorLane<'_>, other: &mut ConnectorLane<'_>) -> Vec<String> {
    let topics: Vec<String> = one.writes.intersection(&other.writes).cloned().collect();
    if topics.is_empty() {
        return topics;
    }
    let reason: Arc<str> = shared_topics(&one.scope.rules.connector, &other.scope.rules.connector).into();
    doubt(one, &reason, |_| true);
    doubt(other, &reason, |_| true);
    topics
}

pub(super) fn shared_topics(one: &str, other: &str) -> String {
    format!(
        "connectors {one} and {other} write records that are no envelopes into one topic: whose a record is cannot be told; give each \
         a topic of its own"
    )
}

fn doubt(lane: &mut ConnectorLane<'_>, reason: &Arc<str>, of: impl Fn(&super::ledger::ExpectedChange<'_>) -> bool) {
    for entry in lane.entries.iter_mut().filter(|entry| entry.owed == Owed::Yes && of(entry)) {
        entry.owed = Owed::Perhaps(Arc::clone(reason));
    }
}
