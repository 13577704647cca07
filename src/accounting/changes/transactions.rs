//! Whole transactions, by the topic in which a connector tells where they begin and end.
//!
//! Who puts transactions together again from the topics of tables waits for the end of each, which says how many changes there are, and
//! takes them in the order of the ends. That works where every end comes, in the order of commits, with as many changes as the database
//! committed, and where each change has its place in the order of the log.

use super::ledger::{ChangeFate, ChangeLedger, ConnectorLane, ExpectedChange};
use super::scope::{Expectation, Owed};
use crate::database::TableName;
use crate::debezium::{Form, ReadEvent, ReadKind, TransactionBoundary};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// What became of whole transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WholeTransactions {
    /// Transactions whose end was told, with as many changes as the database committed, and of which every change arrived.
    pub whole: u64,
    /// Transactions of which one of these is not so.
    pub torn: u64,
    /// Transactions that were told after a later one, or whose changes say another order than the log has.
    pub reordered: u64,
    /// Transactions of which connector and reader have not come to the end.
    pub open: u64,
    /// The first that are torn or reordered.
    pub samples: Vec<String>,
}

/// The first end of each transaction that was read: its place in the order of reading, and what it says.
type TransactionEnds<'e> = HashMap<u32, (usize, &'e TransactionBoundary)>;

/// What became of one.
enum Wholeness {
    /// It is none of the readers' business: a snapshot stands for it, or it is another's.
    Beside,
    Whole,
    Torn(String),
    Open,
}

impl ChangeLedger<'_> {
    pub(super) fn judge_transactions(&mut self, events: &[ReadEvent]) {
        let mut all: Option<WholeTransactions> = None;
        for lane in self.lanes.iter().filter(|lane| *lane.scope.rules.form() == Form::Envelope) {
            let topics = lane.scope.rules.transaction_topics();
            let is_one = |topic: &str| topics.iter().any(|known| known == topic);
            let read = self.expectation.topics.is_none_or(|read| read.iter().any(|topic| is_one(topic)));
            if topics.is_empty() || !read {
                continue;
            }
            let ends = ends(events, &is_one);
            let result = all.get_or_insert_default();
            lane.judge_transactions(&ends, self.expectation, result);
        }
        self.result.whole_transactions = all;
    }
}

fn ends<'e>(events: &'e [ReadEvent], is_one: &dyn Fn(&str) -> bool) -> TransactionEnds<'e> {
    let mut ends = TransactionEnds::new();
    for (place, read) in events.iter().enumerate() {
        if let ReadKind::Boundary(boundary) = &read.kind
            && boundary.ends()
            && is_one(&read.topic)
            && let Some(xid) = boundary.xid()
        {
            ends.entry(xid).or_insert((place, boundary));
        }
    }
    ends
}

impl ConnectorLane<'_> {
    fn judge_transactions(
        &self,
        ends: &TransactionEnds<'_>,
        expectation: &Expectation<'_>,
        result: &mut WholeTransactions,
    ) {
        let (drained, samples) = (expectation.drained, expectation.samples);
        let groups: Vec<_> = self.entries.chunk_by(|a, b| std::ptr::eq(a.transaction, b.transaction)).collect();
        let told = |group: &[ExpectedChange<'_>]| ends.get(&group[0].transaction.xid).copied();
        let last_told = groups.iter().rposition(|group| told(group).is_some());
        let (mut furthest, mut behind) = (None, 0);
        for (index, group) in groups.iter().enumerate() {
            let first = behind;
            behind += group.len();
            let is_owed = (first..behind).any(|place| self.is_owed(place, expectation));
            let passed = last_told.is_some_and(|last| index < last)
                || self.confirmed.is_some_and(|confirmed| group[0].transaction.commit_lsn < confirmed);
            let end = told(group);
            let sample = |what: String| format!("transaction {}: {what}", group[0].transaction.xid);
            let keep = |result: &mut WholeTransactions, what: String| {
                if result.samples.len() < samples {
                    result.samples.push(sample(what));
                }
            };
            match self.wholeness(group, end.map(|(_, end)| end), drained && passed, is_owed) {
                Wholeness::Beside => continue,
                Wholeness::Whole => result.whole += 1,
                Wholeness::Open => result.open += 1,
                Wholeness::Torn(why) => {
                    result.torn += 1;
                    keep(result, format!("torn: {why}"));
                }
            }
            let place = end.map(|(place, _)| place);
            let late = place.is_some_and(|place| furthest.is_some_and(|furthest| place < furthest));
            furthest = furthest.max(place);
            if late {
                result.reordered += 1;
                keep(result, "reordered: its end was told after that of a later one".to_owned());
            } else if let Some(why) = disorder(group) {
                result.reordered += 1;
                keep(result, why);
            }
        }
    }

    /// Whether a change has to come, and has not in any form.
    fn is_owed(&self, index: usize, expectation: &Expectation<'_>) -> bool {
        let entry = &self.entries[index];
        let is_open = entry.owed == Owed::Yes && !entry.has_arrived();
        is_open && self.left_out(index).is_none() && !expectation.is_before_reader(entry)
    }

    /// `is_owed`: a change of it has to come, and has not.
    fn wholeness(
        &self,
        group: &[ExpectedChange<'_>],
        end: Option<&TransactionBoundary>,
        passed: bool,
        is_owed: bool,
    ) -> Wholeness {
        let streamed = |entry: &ExpectedChange<'_>| {
            matches!(entry.fate, ChangeFate::Once | ChangeFate::Repeated | ChangeFate::Damaged)
        };
        let ours = group.iter().any(|entry| matches!(entry.owed, Owed::Yes | Owed::Perhaps(_)));
        let came = group.iter().any(streamed);
        if !ours || (end.is_none() && !came && !is_owed) {
            return Wholeness::Beside;
        }
        let is_missing =
            |entry: &&ExpectedChange<'_>| entry.owed == Owed::Yes && (!entry.has_arrived() || entry.is_half());
        let missing = group.iter().filter(is_missing).count();
        let Some(end) = end else {
            let why = if came { "its end was not told" } else { "neither its end nor any change of it came" };
            return if passed { Wholeness::Torn(why.to_owned()) } else { Wholeness::Open };
        };
        if let Some(why) = self.miscounted(group, end) {
            return Wholeness::Torn(why);
        }
        match missing {
            0 => Wholeness::Whole,
            _ if passed => Wholeness::Torn(format!("{missing} of its changes did not arrive")),
            _ => Wholeness::Open,
        }
    }

    /// What the end says otherwise than the database, of the tables of which every change comes.
    fn miscounted(&self, group: &[ExpectedChange<'_>], end: &TransactionBoundary) -> Option<String> {
        let mut tables: BTreeMap<&TableName, Option<u64>> = BTreeMap::new();
        for entry in group {
            let relation = &entry.change.relation;
            let count = tables.entry(self.scope.name_of(relation)).or_insert(Some(0));
            match entry.owed {
                Owed::Yes if !self.scope.table(relation).own_key => *count = count.map(|count| count + 1),
                Owed::Excused(_) | Owed::Elsewhere => {}
                _ => *count = None,
            }
        }
        tables.into_iter().find_map(|(table, count)| {
            let count = count?;
            let name = table.to_string();
            let told = end.tables.iter().filter(|(told, _)| *told == name || told.ends_with(&format!(".{name}")));
            let told: u64 = told.map(|(_, count)| *count).sum();
            (told != count)
                .then(|| format!("its end tells of {told} changes of {table}, the database committed {count}"))
        })
    }
}

/// Changes whose places in their transaction are not in the order of the log.
fn disorder(group: &[ExpectedChange<'_>]) -> Option<String> {
    let mut last: Option<u64> = None;
    for entry in group {
        let Some(order) = entry.order else { continue };
        if let Some(before) = last.filter(|last| *last >= order) {
            let (table, key) = (&entry.change.relation.name, &entry.change.key);
            return Some(format!("reordered: {table} {key} says place {order}, an earlier change {before}"));
        }
        last = Some(order);
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::accounting::changes::history_tests::{Record, World, envelope, read, world};
    use crate::accounting::changes::stored_tests::{all_read, reconciled};
    use crate::accounting::changes::{Reconciliation, ScopedConnector};
    use crate::connect::ConnectorConfig;
    use crate::database::Lsn;
    use crate::debezium::{CaptureRules, EventDecoder, PublicationFacts, ReadEvent};
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    /// The places of changes in their transactions, and the ends of these.
    fn with_metadata(world: &mut World) -> Vec<Value> {
        for (_, value, place) in &mut world.records {
            if let (Some(value), Some((transaction, change))) = (value, *place) {
                let xid = world.transactions[transaction].xid;
                value["transaction"] = json!({"id": format!("{xid}:1"), "total_order": change + 1});
            }
        }
        let end = |transaction: &crate::database::CommittedTransaction| {
            let count = transaction.changes.len();
            let tables = json!([{"data_collection": "public.orders", "event_count": count}]);
            json!({"status": "END", "id": format!("{}:1", transaction.xid), "event_count": count, "data_collections": tables})
        };
        world.transactions.iter().map(end).collect()
    }

    fn settled(world: &World, ends: &[Value]) -> Reconciliation {
        let mut events = read(&world.records);
        events.extend(ends.iter().enumerate().map(|(offset, end)| ReadEvent {
            topic: "cdc.transaction".into(),
            partition: 0,
            offset: offset as i64,
            read_us: 1,
            kind: EventDecoder::default().decode(None, Some(end.to_string().as_bytes())),
        }));
        let pairs = [("topic.prefix", "cdc"), ("plugin.name", "pgoutput"), ("provide.transaction.metadata", "true")];
        let config: ConnectorConfig =
            pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let rules = CaptureRules::of("c", &config, PublicationFacts::Unknown);
        let connectors = [ScopedConnector { confirmed: Some(Lsn(u64::MAX)), ..ScopedConnector::of(&rules) }];
        let expectation = all_read(&world.transactions, &connectors);
        let result = reconciled(&expectation, &events);
        assert_eq!(result.sheet.imbalance(), None);
        result
    }

    fn of(seed: u64) -> (World, Vec<Value>) {
        let mut world = world(&mut StdRng::seed_from_u64(seed));
        let ends = with_metadata(&mut world);
        (world, ends)
    }

    fn is_update(record: &Record) -> bool {
        record.1.as_ref().is_some_and(|value| value["op"] == "u")
    }

    #[test]
    fn transactions_that_come_whole_and_in_order_are_counted() {
        for seed in 0..20 {
            let (world, ends) = of(seed);
            let whole = settled(&world, &ends).whole_transactions.expect("they are told");
            let all = world.transactions.len() as u64;
            assert_eq!((whole.whole, whole.torn, whole.reordered, whole.open), (all, 0, 0, 0), "{whole:?}");
        }
    }

    #[test]
    fn what_tears_a_transaction_or_moves_it_is_named() {
        for seed in 0..20 {
            let (world, ends) = of(seed);
            let all = world.transactions.len();
            if all < 2 {
                continue;
            }
            let counts = |world: &World, ends: &[Value]| {
                let whole = settled(world, ends).whole_transactions.expect("they are told");
                assert_eq!(whole.samples.len() as u64, (whole.torn + whole.reordered).min(5));
                (whole.whole as usize, whole.torn, whole.reordered)
            };
            assert_eq!(counts(&world, &ends[1..]), (all - 1, 1, 0), "an end that is missing");
            let mut other = ends.clone();
            other.swap(0, 1);
            assert_eq!(counts(&world, &other), (all, 0, 1), "ends in another order");
            let mut other = ends.clone();
            other[1]["data_collections"][0]["event_count"] = json!(99);
            assert_eq!(counts(&world, &other), (all - 1, 1, 0), "another number of changes");
            other = ends.clone();
            other.extend(ends.clone());
            assert_eq!(counts(&world, &other), (all, 0, 0), "ends that are told again are no disorder");
            let (mut lossy, ends) = of(seed);
            let Some(lost) = lossy.records.iter().position(is_update) else { continue };
            lossy.records.remove(lost);
            assert_eq!(counts(&lossy, &ends), (all - 1, 1, 0), "a change that is lost");
        }
    }

    #[test]
    fn a_transaction_of_which_nothing_came_is_torn_unless_a_snapshot_stands_for_it() {
        let mut tried = 0;
        for seed in 0..20 {
            let (mut world, ends) = of(seed);
            let all = world.transactions.len();
            let first = world.transactions[0].clone();
            let keys: BTreeMap<&str, _> = first.changes.iter().map(|change| (&*change.key, &change.after)).collect();
            let rows: Vec<_> = keys.into_values().flatten().collect();
            if all < 2 || rows.is_empty() {
                continue;
            }
            tried += 1;
            let next = world.records.iter().position(|record| record.2.is_some_and(|(transaction, _)| transaction > 0));
            world.records.drain(..next.expect("a second one"));
            let counts = |world: &World| {
                let whole = settled(world, &ends[1..]).whole_transactions.expect("they are told");
                (whole.whole as usize, whole.torn, whole.open, whole.samples)
            };
            let why = format!("transaction {}: torn: neither its end nor any change of it came", first.xid);
            assert_eq!(counts(&world), (all - 1, 1, 0, vec![why]));
            let rows = rows.into_iter().map(|row| {
                let key: i64 = row[0].text().expect("a key").parse().expect("a number");
                let lsn = first.commit_lsn.0 + 4;
                (json!({"id": key}), Some(envelope("r", key, row[1].text(), 0, lsn, "true")), None)
            });
            let rows: Vec<Record> = rows.collect();
            world.records.splice(..0, rows);
            assert_eq!(counts(&world), (all - 1, 0, 0, vec![]));
        }
        assert!(tried > 5, "{tried}");
    }

    #[test]
    fn places_that_are_not_in_the_order_of_the_log_are_disorder() {
        for seed in 0..20 {
            let (mut world, ends) = of(seed);
            let second = world.records.iter().position(|record| record.2.is_some_and(|(_, change)| change == 1));
            let Some(second) = second else { continue };
            world.records[second].1.as_mut().expect("a change")["transaction"]["total_order"] = json!(1);
            let whole = settled(&world, &ends).whole_transactions.expect("they are told");
            assert_eq!((whole.torn, whole.reordered), (0, 1), "{whole:?}");
            // A record that says that it is of another transaction is not what the database says.
            world.records[second].1.as_mut().expect("a change")["transaction"]["id"] = json!("1:1");
            assert_eq!(settled(&world, &ends).wrong_content, 1);
        }
    }

    #[test]
    fn without_their_topic_nothing_is_said_of_transactions() {
        let (world, _) = of(3);
        let rules = crate::accounting::changes::history_tests::rules();
        assert!(rules.transaction_topics().is_empty());
        assert_eq!(settled(&world, &[]).whole_transactions.map(|whole| whole.whole), Some(0));
    }
}
