//! Rules of a connector that was told otherwise before, and of one whose records have several forms.

use super::{CaptureRules, Form, PublicationFacts, settings};
use crate::connect::ConnectorConfig;

/// The most configurations of before that are looked at.
const MOST: usize = 100;

impl CaptureRules {
    /// The rules of a connector: one for each form that its records have, by its effective configuration and by those that it, or one that it
    /// goes on for, had before.
    pub fn each(
        connector: &str,
        config: &ConnectorConfig,
        former: &[ConnectorConfig],
        publication: &PublicationFacts,
    ) -> Vec<Self> {
        let mut rules = Self::of(connector, config, publication.clone());
        for config in former.iter().take(MOST) {
            rules.remember(Self::of(connector, config, publication.clone()));
        }
        rules.parts()
    }

    /// Whether two configurations say the same of what is delivered.
    pub fn are_alike(one: &ConnectorConfig, other: &ConnectorConfig) -> bool {
        settings::telling(one) == settings::telling(other)
    }

    fn remember(&mut self, former: Self) {
        if self.settings == former.settings || self.former.iter().any(|known| known.settings == former.settings) {
            return;
        }
        // What it wrote before has the form of its settings then.
        self.modes.guessed |= self.modes != former.modes;
        self.modes.fills_nulls |= former.modes.fills_nulls;
        self.tombstones &= former.tombstones;
        if self.unreadable.is_none() {
            self.unreadable.clone_from(&former.unreadable);
        }
        if self.had_another_form(&former) {
            let reason = format!("its records had another form: {}", self.changed_since(&former));
            self.unreadable.get_or_insert(reason);
            self.form = Form::Envelope;
        }
        self.former.push(former);
    }

    fn had_another_form(&self, former: &Self) -> bool {
        self.transforms.told_forms() != former.transforms.told_forms()
    }

    /// What is to be said where it matters that the connector was told otherwise before.
    pub(super) fn changed_since(&self, former: &Self) -> String {
        let (now, before) = (&self.settings, &former.settings);
        let keys = now.keys().chain(before.keys().filter(|key| !now.contains_key(*key)));
        let changed = keys.filter(|key| *key != "slot.name" && now.get(*key) != before.get(*key));
        let changed: Vec<&str> = changed.map(String::as_str).collect();
        format!(
            "connector {} was configured otherwise before ({}), and by which of both a change went cannot be told",
            self.connector,
            changed.join(", ")
        )
    }

    /// One for each form that the records have.
    fn parts(self) -> Vec<Self> {
        let forms = self.transforms.forms();
        let named = self.strategy.is_none() && self.prefix.is_some();
        let undecided = self.transforms.undecided(named).is_some();
        if forms.len() < 2 || undecided || self.former.iter().any(|former| self.had_another_form(former)) {
            return vec![self];
        }
        let part = |(number, place): (usize, Option<usize>)| {
            let mut part = self.clone();
            part.form = self.transforms.form(place);
            part.part = Some(place);
            for former in &mut part.former {
                // They have the same transforms, perhaps in other places.
                let place = former.transforms.forms().get(number).copied().flatten();
                former.form = former.transforms.form(place);
                former.part = Some(place);
            }
            part
        };
        forms.into_iter().enumerate().map(part).collect()
    }

    /// Which of the rules of its connector these are.
    pub(super) fn number(&self) -> usize {
        let forms = self.transforms.forms();
        self.part.and_then(|part| forms.iter().position(|form| *form == part)).unwrap_or(0)
    }

    /// The configurations of before.
    pub(super) fn former_settings(&self) -> Vec<ConnectorConfig> {
        self.former.iter().map(|former| former.settings.clone()).collect()
    }
}
