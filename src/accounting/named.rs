//! The names and texts of accounts, in another form: as they are shown where secrets are taken out of them.

use super::stored::{ClassCheck, Settlement};
use super::{ReaderAccount, SenderAccount, Terms};
use std::collections::{BTreeMap, BTreeSet};

/// Gives names of topics and groups another form, the same everywhere.
struct Renaming<'a> {
    shown: &'a dyn Fn(&str) -> String,
    /// What each name has become.
    names: BTreeMap<String, String>,
}

impl Renaming<'_> {
    fn name(&mut self, name: &mut String) {
        let shown = self.names.entry(std::mem::take(name)).or_insert_with_key(|name| (self.shown)(name));
        name.clone_from(shown);
    }

    fn keys<T>(&mut self, map: &mut BTreeMap<String, T>) {
        let renamed = std::mem::take(map).into_iter().map(|(mut name, value)| {
            self.name(&mut name);
            (name, value)
        });
        *map = renamed.collect();
    }

    fn text(&self, text: &mut String) {
        *text = (self.shown)(text);
    }

    fn sender(&mut self, account: &mut SenderAccount) {
        self.name(&mut account.topic);
    }

    fn reader(&mut self, account: &mut ReaderAccount) {
        self.name(&mut account.topic);
        if let Some(group) = &mut account.group {
            self.name(group);
        }
    }

    fn terms(&mut self, terms: &mut Terms) {
        let Terms { allow: _, policies, compacts, unsearched, now_us: _ } = terms;
        self.keys(policies);
        self.keys(compacts);
        let names = std::mem::take(unsearched).into_iter().map(|mut name| {
            self.name(&mut name);
            name
        });
        *unsearched = names.collect();
    }

    /// Whether different names have stayed different: they are only held against each other, so nothing is settled otherwise.
    fn is_faithful(&self) -> bool {
        self.names.values().collect::<BTreeSet<_>>().len() == self.names.len()
    }
}

impl Settlement {
    /// Gives every name and every text the form that `shown` gives it. Ids of steps stay: they hold nothing that may not be shown.
    ///
    /// False where two names have become one: it would be settled otherwise then.
    pub fn rename(&mut self, shown: &dyn Fn(&str) -> String) -> bool {
        // A field that is added here has to be thought of.
        let Self {
            step: _,
            from: _,
            to: _,
            senders,
            beside,
            readers,
            evidence: _,
            evidence_by_topic,
            untold: _,
            terms,
            guaranteed: _,
            missing,
            incomplete,
            checks,
            // Not stored.
            matching: _,
            given: _,
        } = self;
        let mut renaming = Renaming { shown, names: BTreeMap::new() };
        senders.iter_mut().chain(beside).for_each(|account| renaming.sender(account));
        readers.iter_mut().for_each(|account| renaming.reader(account));
        renaming.keys(evidence_by_topic);
        renaming.terms(terms);
        missing.iter_mut().flatten().chain(incomplete).for_each(|text| renaming.text(text));
        checks.iter_mut().for_each(|ClassCheck { subject, at: _, class: _ }| renaming.text(subject));
        renaming.is_faithful()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::{Class, Policy};
    use std::sync::Arc;

    fn settlement() -> Settlement {
        let sender = |topic: &str| {
            let mut account = SenderAccount::new(1, topic);
            (account.sent, account.complete) = (3, true);
            account.acknowledged(0..3, 0, 0);
            account
        };
        let reader = ReaderAccount::new(Arc::default(), "orders-hunter22", Some("g-hunter22".to_owned()), false);
        let terms = Terms {
            policies: BTreeMap::from([("orders-hunter22".to_owned(), Policy::default())]),
            compacts: BTreeMap::from([("orders-hunter22".to_owned(), false)]),
            unsearched: BTreeSet::from(["orders-hunter22".to_owned()]),
            ..Terms::default()
        };
        Settlement {
            senders: vec![sender("orders-hunter22")],
            beside: vec![sender("other")],
            readers: vec![reader],
            evidence_by_topic: BTreeMap::from([("orders-hunter22".to_owned(), Default::default())]),
            terms,
            missing: Some(vec!["`hunter22` did not start".to_owned()]),
            incomplete: vec!["hunter22".to_owned()],
            checks: vec![ClassCheck { subject: "hunter22".to_owned(), at: None, class: Class::Lost }],
            ..Settlement::default()
        }
    }

    #[test]
    fn no_name_is_forgotten_and_the_same_is_settled() {
        let mut renamed = settlement();
        let before = renamed.report();
        assert!(renamed.rename(&|text: &str| text.replace("hunter22", "***")));
        let stored = serde_json::to_string(&renamed).expect("JSON");
        assert!(!stored.contains("hunter22") && stored.contains("orders-***") && stored.contains("g-***"), "{stored}");
        assert_eq!(renamed.report(), before);
    }

    #[test]
    fn names_that_become_one_are_told() {
        let mut two = settlement();
        two.beside[0].topic = "orders-hunter33".to_owned();
        let shown = |text: &str| text.replace("hunter22", "***").replace("hunter33", "***");
        assert!(!two.rename(&shown));
    }
}
