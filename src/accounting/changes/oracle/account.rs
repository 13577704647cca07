//! The account of a world: settled at once, or in turns while it goes on.

use super::world::{Sent, World};
use crate::accounting::changes::stored_tests::reconciled;
use crate::accounting::changes::{
    Expectation, Reconciliation, ScopedConnector, SettledPast, SettlingBudget, reconcile,
};
use crate::database::{Blind, Lsn, Publication, Published};
use crate::debezium::{CaptureRules, PublicationFacts, ReadEvent, ReadKind};
use rand::prelude::*;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, BTreeSet};

impl World {
    fn rules(&self) -> CaptureRules {
        let mut tables = BTreeMap::new();
        for (index, table) in self.tables.iter().enumerate() {
            let row_filter = (self.settings.filtered && index == 0).then(|| "((k0 % 3) <> 0)".to_owned());
            let name = if self.settings.via_root { &table.root } else { &table.relation.name };
            let filtered_since = self.knows_filter().then_some(0);
            tables.insert(name.clone(), Published { row_filter, columns: None, filtered_since });
        }
        let publication = Publication {
            name: "p".to_owned(),
            via_root: self.settings.via_root,
            inserts: true,
            updates: true,
            deletes: true,
            truncates: true,
            tables,
            ..Publication::default()
        };
        CaptureRules::of("c", &self.settings.config(), PublicationFacts::Known(publication))
    }

    /// Its row filter is one that is evaluated: it looks at a key of numbers, which no update changes.
    pub(super) fn knows_filter(&self) -> bool {
        let column = &self.tables[0].relation.columns[0];
        self.settings.decimals == "precise" && column.key && [20, 21, 23].contains(&column.type_oid)
    }

    fn topics(&self) -> BTreeSet<String> {
        (0..self.tables.len()).map(|table| self.topic(table)).collect()
    }

    fn read(sent: &[Sent], twice: Option<usize>) -> Vec<ReadEvent> {
        let read = |(offset, sent): (usize, &Sent)| ReadEvent {
            topic: "t".into(),
            partition: 0,
            offset: offset as i64,
            read_us: 1,
            kind: ReadKind::Change(Box::new(sent.event.clone())),
        };
        let mut events: Vec<ReadEvent> = sent.iter().enumerate().map(read).collect();
        events.extend(twice.map(|index| events[index].clone()));
        events
    }

    fn look<R>(&self, rules: &CaptureRules, look: impl FnOnce(&Expectation<'_>) -> R) -> R {
        let (blind, topics) = (Blind::default(), self.topics());
        let connectors = [ScopedConnector { confirmed: Some(Lsn(u64::MAX)), ..ScopedConnector::of(rules) }];
        look(&Expectation {
            transactions: &self.transactions,
            settled: None,
            window: (Lsn(0), Lsn(u64::MAX)),
            blind: &blind,
            claimed: Some(&self.claimed),
            database: Some("db"),
            connectors: &connectors,
            topics: Some(&topics),
            drained: self.drained,
            calm: false,
            partitions: None,
            late_us: None,
            samples: 3,
        })
    }

    pub(super) fn settle(&self, sent: &[Sent], twice: Option<usize>) -> Reconciliation {
        let events = Self::read(sent, twice);
        // Packing takes longer than settling: one history in eight.
        let packs = sent.len().is_multiple_of(8);
        self.look(&self.rules(), |expectation| match packs {
            true => reconciled(expectation, &events),
            false => reconcile(expectation, &events),
        })
    }

    /// The same, where changes are settled for good while others are still to come. With it, how many were.
    pub(super) fn settle_in_turns(
        &self,
        rng: &mut StdRng,
        sent: &[Sent],
        twice: Option<usize>,
    ) -> (Reconciliation, usize) {
        let (rules, topics) = (self.rules(), self.topics());
        let (mut committed, mut read) = (self.transactions.clone(), Self::read(sent, twice));
        let (mut past, mut transactions, mut events) = (SettledPast::default(), Vec::new(), Vec::new());
        for turn in 0..4 {
            // What is committed and what is read become known independently; in the end all is.
            let some = |rng: &mut StdRng, all: usize| if turn == 3 { all } else { rng.random_range(0..=all) };
            let (more, further) = (some(rng, committed.len()), some(rng, read.len()));
            transactions.extend(committed.drain(..more));
            events.extend(read.drain(..further));
            let budget = SettlingBudget { records: rng.random_range(1..40), changes: rng.random_range(1..40) };
            past.settle(&rules, Some(&topics), &mut transactions, &mut events, budget);
        }
        let result = self.look(&rules, |whole| {
            reconcile(&Expectation { transactions: &transactions, settled: Some(&past), ..*whole }, &events)
        });
        (result, past.len())
    }
}
