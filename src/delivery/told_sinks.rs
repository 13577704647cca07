//! What the connectors are told that bring rows into a table.

use super::sinks::{Sink, Sinks};
use crate::debezium::SinkRules;

/// What connectors are told that bring rows into a table.
#[derive(Debug)]
pub(super) struct ToldSinks {
    pub(super) deletes: KeptDeletes,
    /// The setting by which rows may not come.
    pub(super) may_drop: Option<String>,
    /// The setting by which whoever writes the table may write other values.
    pub(super) changes: Option<String>,
    /// The same of a connector of which nobody knows whether it is the one.
    pub(super) may_change: Option<String>,
}

/// Whether rows stay in a table that were deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeptDeletes {
    No,
    /// By a setting, in words.
    Yes(String),
    /// By a setting of a connector of which nobody knows whether it is the one.
    Perhaps(String),
}

impl Sinks {
    /// What the connectors are told that read these topics; `envelopes`: these have Debezium's envelopes.
    pub(super) fn told(&self, topics: &Result<Vec<String>, String>, envelopes: bool) -> ToldSinks {
        let reads = self.all.iter().map(|sink| (sink, topics.as_ref().map_or(None, |topics| sink.reads_any(topics))));
        let readers: Vec<(&Sink, bool, SinkRules)> = reads
            .filter(|(_, reads)| *reads != Some(false))
            .map(|(sink, reads)| (sink, reads.is_some(), SinkRules::of(&sink.config)))
            .collect();
        let first = |setting: fn(&SinkRules) -> Option<&String>, does: &str| {
            readers
                .iter()
                .find_map(|(sink, _, rules)| Some(format!("{} of connector {} may {does}", setting(rules)?, sink.name)))
        };
        let kept: Vec<Option<(String, bool)>> = readers
            .iter()
            .map(|(sink, is_sure, rules)| sink.kept(rules, envelopes).map(|(why, sure)| (why, sure && *is_sure)))
            .collect();
        let deletes = match kept.iter().flatten().next() {
            None => KeptDeletes::No,
            Some((why, _)) if kept.iter().all(|kept| matches!(kept, Some((_, true)))) => KeptDeletes::Yes(why.clone()),
            Some((why, _)) => KeptDeletes::Perhaps(format!("{why}, if it is the one that writes the table")),
        };
        let change = first(|rules| rules.may_change.as_ref(), "change values");
        let all_do = readers.iter().all(|(_, is_sure, rules)| *is_sure && rules.may_change.is_some());
        let (changes, may_change) = if all_do { (change, None) } else { (None, change) };
        let may_drop = first(|rules| rules.may_drop.as_ref(), "leave rows out");
        ToldSinks { deletes, may_drop, changes, may_change }
    }
}

impl Sink {
    /// Why it takes no row away that was deleted, and whether that is certain.
    fn kept(&self, rules: &SinkRules, envelopes: bool) -> Option<(String, bool)> {
        let name = &self.name;
        let of_tables =
            self.config.get("connector.class").is_some_and(|class| class.ends_with("jdbc.JdbcSinkConnector"));
        if of_tables && self.config.get("delete.enabled").map(String::as_str) != Some("true") {
            let why = format!("delete.enabled of connector {name} is not `true`, so rows that were deleted stay");
            return Some((why, true));
        }
        let (setting, is_sure) = rules.keeps_deleted.as_ref().filter(|_| envelopes)?;
        let why = format!("{setting}.delete.tombstone.handling.mode of connector {name} keeps rows that were deleted");
        Some((why, *is_sure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(name: &str, words: &[(&str, &str)]) -> Sink {
        let common = [("connector.class", "io.debezium.connector.jdbc.JdbcSinkConnector")];
        let config = common.iter().chain(words).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Sink { name: name.to_owned(), config }
    }

    #[test]
    fn a_sink_of_another_topic_says_nothing_of_deletes() {
        let kept = |all: Vec<Sink>| {
            let sinks = Sinks { all, ..Sinks::default() };
            [Ok(vec!["cdc.public.orders".to_owned()]), Err("strategy".to_owned())]
                .map(|topics| sinks.told(&topics, true).deletes)
        };
        let takes_away = || sink("a", &[("topics", "cdc.public.orders, other"), ("delete.enabled", "true")]);
        let other = || sink("b", &[("topics", "other")]);
        let keeps = || sink("c", &[("topics.regex", "cdc\\..*")]);
        let [known, unknown] = kept(vec![takes_away(), other()]);
        assert_eq!(known, KeptDeletes::No);
        // Of topics that are not known each connector may be the one.
        assert!(matches!(unknown, KeptDeletes::Perhaps(why) if why.contains("connector b")));
        let [known, unknown] = kept(vec![keeps(), other()]);
        assert!(matches!(known, KeptDeletes::Yes(why) if why.contains("connector c")));
        assert!(matches!(unknown, KeptDeletes::Perhaps(_)));
        // Two that do not say the same.
        assert!(
            matches!(&kept(vec![takes_away(), keeps()])[0], KeptDeletes::Perhaps(why) if why.contains("connector c"))
        );
        // A pattern that is not understood, and a connector that writes no tables.
        assert!(matches!(kept(vec![sink("d", &[("topics.regex", "(")])])[0], KeptDeletes::Perhaps(_)));
        let file = sink("e", &[("topics", "cdc.public.orders"), ("connector.class", "FileStreamSink")]);
        assert_eq!(kept(vec![file])[0], KeptDeletes::No);
    }

    #[test]
    fn what_a_sink_drops_or_changes_is_told_of_those_that_read_the_topic() {
        let topics = Ok(vec!["cdc.public.orders".to_owned()]);
        let told = |words: &[(&str, &str)], envelopes| {
            let own = [("topics", "cdc.public.orders"), ("delete.enabled", "true"), ("transforms", "t")];
            let other = [("topics", "other"), ("transforms", "f"), ("transforms.f.type", "a.Filter")];
            let all = vec![sink("b", &other), sink("a", &[&own[..], words].concat())];
            Sinks { all, ..Sinks::default() }.told(&topics, envelopes)
        };
        let beside = |words: &[(&str, &str)]| {
            let own = [("topics", "cdc.public.orders"), ("delete.enabled", "true"), ("transforms", "t")];
            let all = vec![sink("a", &[&own[..], words].concat()), sink("b", &own[..2])];
            Sinks { all, ..Sinks::default() }.told(&topics, true)
        };
        let filter = told(&[("transforms.t.type", "a.Filter")], true);
        assert_eq!(filter.may_drop.as_deref(), Some("transforms.t.type=a.Filter of connector a may leave rows out"));
        assert_eq!((filter.changes, filter.may_change, filter.deletes), (None, None, KeptDeletes::No));
        let mask = [("transforms.t.type", "a.MaskField$Value")];
        let (only, one_of_two) = (told(&mask, true), beside(&mask));
        assert!(only.changes.is_some_and(|why| why.contains("connector a may change")));
        assert!(only.may_change.is_none() && only.may_drop.is_none());
        assert!(one_of_two.changes.is_none() && one_of_two.may_change.is_some());
        let class = ("transforms.t.type", "io.debezium.transforms.ExtractNewRecordState");
        let dropped = [class, ("transforms.t.delete.handling.mode", "drop")];
        assert!(matches!(told(&dropped, true).deletes, KeptDeletes::Yes(_)));
        assert!(matches!(told(&[class], true).deletes, KeptDeletes::Perhaps(_)));
        // Rows that are flat already pass it as they are.
        assert_eq!(told(&dropped, false).deletes, KeptDeletes::No);
    }
}
