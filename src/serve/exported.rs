//! Everything that `/metrics` tells, in one page.

use super::archives::ArchiveEntry;
use super::jobs::{JobKind, JobState};
use super::metrics::{Metrics, archives, jobs};
use super::schedule::{ScheduleStatus, tell};
use crate::expose::MetricsPage;
use std::collections::BTreeMap;

/// What there is to tell at a moment.
pub struct Exported<'a> {
    /// What was counted.
    pub metrics: &'a Metrics,
    /// How many jobs there are of each kind in each state.
    pub jobs: &'a BTreeMap<(JobKind, JobState), u64>,
    /// How many may wait.
    pub queue: usize,
    /// The schedules.
    pub schedules: &'a [ScheduleStatus],
    /// The archives; nothing where they cannot be listed: everything else is told, and that, which is an alert of its own.
    pub archives: Option<&'a [ArchiveEntry]>,
    /// The moment, in ms since the epoch.
    pub now: i64,
}

impl Exported<'_> {
    /// In Prometheus's text format.
    pub fn text(&self) -> String {
        let mut page = MetricsPage::default();
        self.metrics.write(&mut page);
        jobs(&mut page, self.jobs);
        page.family("kscen_queue_limit", "gauge", "How many jobs may wait.");
        page.sample("kscen_queue_limit", &[], self.queue as f64);
        tell(&mut page, self.schedules);
        page.family("kscen_archives_listed", "gauge", "1 where the archives can be listed, 0 where they cannot.");
        page.sample("kscen_archives_listed", &[], f64::from(u8::from(self.archives.is_some())));
        if let Some(entries) = self.archives {
            archives(&mut page, entries, self.now);
        }
        page.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const RULES: &str = include_str!("../../stack/prometheus/kscen-alerts.yaml");
    const DASHBOARD: &str = include_str!("../../stack/grafana/kscen-backup.json");

    /// The names of all samples that there can be.
    fn exported() -> BTreeSet<String> {
        let exported = Exported {
            metrics: &Metrics::default(),
            jobs: &BTreeMap::new(),
            queue: 100,
            schedules: &[],
            archives: Some(&[]),
            now: 0,
        };
        let text = exported.text();
        let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let names = |(name, kind): (&str, &str)| match kind {
            "histogram" => ["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")).to_vec(),
            _ => vec![name.to_owned()],
        };
        families.flat_map(names).collect()
    }

    fn named(text: &str) -> BTreeSet<String> {
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        words.filter(|word| word.starts_with("kscen_")).map(str::to_owned).collect()
    }

    #[test]
    fn alerts_and_dashboard_use_what_is_exported_and_all_of_it_is_shown() {
        let exported = exported();
        for (file, text) in [("kscen-alerts.yaml", RULES), ("kscen-backup.json", DASHBOARD)] {
            let unknown: Vec<String> = named(text).difference(&exported).cloned().collect();
            assert!(unknown.is_empty(), "{file} names metrics that are not exported: {unknown:?}");
        }
        // Of a histogram the buckets are enough.
        let used: BTreeSet<String> = named(RULES).union(&named(DASHBOARD)).cloned().collect();
        let unused: Vec<&String> =
            exported.difference(&used).filter(|name| !name.ends_with("_sum") && !name.ends_with("_count")).collect();
        assert!(unused.is_empty(), "nothing shows {unused:?}");
    }

    #[test]
    fn what_a_rule_takes_the_increase_of_begins_with_nothing() {
        let mut page = MetricsPage::default();
        Metrics::default().write(&mut page);
        let text = page.text();
        let counters = RULES.split("increase(").skip(1).filter_map(|rest| rest.split(['{', '[']).next());
        let counters: Vec<&str> = counters.collect();
        assert!(counters.len() >= 3, "{counters:?}");
        for counter in counters {
            let begins = |line: &str| line.starts_with(counter) && line.ends_with(" 0");
            assert!(text.lines().any(begins), "{counter} would not rise with the first:\n{text}");
        }
    }

    #[test]
    fn that_archives_cannot_be_listed_is_told_and_an_alert() {
        let exported = |archives| {
            let (metrics, jobs) = (Metrics::default(), BTreeMap::new());
            Exported { metrics: &metrics, jobs: &jobs, queue: 1, schedules: &[], archives, now: 0 }.text()
        };
        let told = |text: String, line: &str| text.lines().any(|found| found == line);
        assert!(told(exported(None), "kscen_archives_listed 0"));
        assert!(told(exported(Some(&[])), "kscen_archives_listed 1"));
        assert!(RULES.contains("expr: kscen_archives_listed == 0"));
    }

    #[test]
    fn each_alert_says_what_it_is_and_what_to_do() {
        let rules: serde_json::Value = serde_yaml::from_str(RULES).expect("YAML");
        let rules = rules.pointer("/groups/0/rules").and_then(serde_json::Value::as_array).expect("rules");
        let page = include_str!("../../docs/service-schedules.md");
        for rule in rules {
            let text = |pointer: &str| rule.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
            let alert = text("/alert");
            assert!(alert.starts_with("Kscen") && !text("/expr").is_empty(), "{rule}");
            for pointer in ["/labels/severity", "/annotations/summary", "/annotations/description"] {
                assert!(!text(pointer).is_empty(), "{alert} has no {pointer}");
            }
            assert!(page.contains(&format!("| `{alert}` |")), "docs/service-schedules.md explains {alert}");
        }
        assert!(rules.len() >= 10, "{} rules", rules.len());
        let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).expect("JSON");
        assert!(dashboard.pointer("/panels/0/targets/0/expr").is_some(), "it has panels");
    }
}
