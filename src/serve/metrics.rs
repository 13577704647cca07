//! Figures for Prometheus, in its text format.

use super::archives::{ArchiveEntry, ArchiveState};
use super::jobs::{Job, JobKind, JobState};
use crate::expose::MetricsPage;
use crate::ground::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Upper bounds of the latencies of requests, in seconds.
const REQUESTS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Upper bounds of the durations of jobs, in seconds.
const JOBS: [f64; 10] = [1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0];

/// Counts what happens. Cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    requests: BTreeMap<(String, String, u16), u64>,
    latencies: BTreeMap<String, Buckets>,
    jobs: BTreeMap<(JobKind, JobState), u64>,
    records: BTreeMap<JobKind, u64>,
    bytes: BTreeMap<JobKind, u64>,
    durations: BTreeMap<JobKind, Buckets>,
    state_failures: u64,
    audit_failures: u64,
    set_aside: u64,
}

/// How many took how long.
#[derive(Clone, Default)]
struct Buckets {
    counts: Vec<u64>,
    count: u64,
    sum: f64,
}

impl Buckets {
    fn add(&mut self, bounds: &[f64], seconds: f64) {
        self.counts.resize(bounds.len(), 0);
        for (count, bound) in self.counts.iter_mut().zip(bounds) {
            *count += u64::from(seconds <= *bound);
        }
        self.count += 1;
        self.sum += seconds;
    }

    fn write(&self, page: &mut MetricsPage, name: &str, label: (&str, &str), bounds: &[f64]) {
        let counts = self.counts.iter().copied().chain(std::iter::repeat(0));
        let within = bounds.iter().copied().zip(counts);
        page.histogram(name, &[label], within, (self.count, self.sum));
    }
}

impl Metrics {
    /// A request was answered. `path` is its pattern, so that there are few.
    pub fn request(&self, method: &str, path: &str, status: u16, took: Duration) {
        let mut counted = lock(&self.0);
        *counted.requests.entry((method.to_owned(), path.to_owned(), status)).or_default() += 1;
        counted.latencies.entry(path.to_owned()).or_default().add(&REQUESTS, took.as_secs_f64());
    }

    /// A job is over, after so long at work.
    pub fn job(&self, job: &Job, took: Duration) {
        let mut counted = lock(&self.0);
        *counted.jobs.entry((job.kind, job.state)).or_default() += 1;
        *counted.records.entry(job.kind).or_default() += job.progress.records;
        *counted.bytes.entry(job.kind).or_default() += job.progress.bytes;
        counted.durations.entry(job.kind).or_default().add(&JOBS, took.as_secs_f64());
    }

    /// The state of a job could not be written.
    pub fn state_failed(&self) {
        lock(&self.0).state_failures += 1;
    }

    /// A line of the audit log could not be written.
    pub fn audit_failed(&self) {
        lock(&self.0).audit_failures += 1;
    }

    /// Damaged documents were set aside.
    pub fn set_aside(&self, count: usize) {
        lock(&self.0).set_aside += count as u64;
    }

    /// What was counted.
    pub fn write(&self, page: &mut MetricsPage) {
        let counted = lock(&self.0);
        page.family("kscen_http_requests_total", "counter", "Requests that were answered.");
        for ((method, path, status), count) in &counted.requests {
            let labels = [("method", method.as_str()), ("path", path), ("status", &status.to_string())];
            page.sample("kscen_http_requests_total", &labels, *count as f64);
        }
        page.family("kscen_http_request_duration_seconds", "histogram", "From a request's head to its answer's.");
        for (path, buckets) in &counted.latencies {
            buckets.write(page, "kscen_http_request_duration_seconds", ("path", path), &REQUESTS);
        }
        page.family("kscen_jobs_ended_total", "counter", "Jobs that came to their end since the service began.");
        // What begins with its first event has no increase then, and no alert: each begins with nothing.
        for kind in JobKind::ALL {
            for state in JobState::ALL.into_iter().filter(|state| state.is_final()) {
                let count = counted.jobs.get(&(kind, state)).copied().unwrap_or(0);
                page.sample("kscen_jobs_ended_total", &[("kind", kind.word()), ("state", state.word())], count as f64);
            }
        }
        page.family("kscen_job_duration_seconds", "histogram", "How long jobs were at work that came to their end.");
        let nothing = Buckets::default();
        for kind in JobKind::ALL {
            let buckets = counted.durations.get(&kind).unwrap_or(&nothing);
            buckets.write(page, "kscen_job_duration_seconds", ("kind", kind.word()), &JOBS);
        }
        for (name, help, counts) in [
            ("kscen_job_records_total", "Records that jobs read or wrote.", &counted.records),
            ("kscen_job_bytes_total", "Bytes that jobs read or wrote.", &counted.bytes),
        ] {
            page.family(name, "counter", help);
            for kind in JobKind::ALL {
                page.sample(name, &[("kind", kind.word())], counts.get(&kind).copied().unwrap_or(0) as f64);
            }
        }
        for (name, help, count) in [
            ("kscen_state_failures_total", "States of jobs that could not be written.", counted.state_failures),
            ("kscen_audit_failures_total", "Lines of the audit log that could not be written.", counted.audit_failures),
            (
                "kscen_state_set_aside_total",
                "Damaged files of the state folder that were set aside.",
                counted.set_aside,
            ),
        ] {
            page.family(name, "counter", help);
            page.sample(name, &[], count as f64);
        }
    }
}

/// Jobs as they are now.
pub fn jobs(page: &mut MetricsPage, counts: &BTreeMap<(JobKind, JobState), u64>) {
    page.family("kscen_jobs", "gauge", "Jobs by their kind and state.");
    for kind in JobKind::ALL {
        for state in JobState::ALL {
            let count = counts.get(&(kind, state)).copied().unwrap_or(0);
            page.sample("kscen_jobs", &[("kind", kind.word()), ("state", state.word())], count as f64);
        }
    }
}

/// Archives as they are now. Of one that cannot be read it is not known what it has.
pub fn archives(page: &mut MetricsPage, entries: &[ArchiveEntry], now: i64) {
    type Value = fn(&ArchiveEntry) -> Option<f64>;
    let seconds = |since: i64, now: i64| (now.saturating_sub(since)).max(0) as f64 / 1000.0;
    let families: [(&str, &str, Value); 9] = [
        ("kscen_archive_readable", "1 where it can be read, 0 where it cannot or is gone.", |entry| {
            Some(f64::from(u8::from(is_readable(entry))))
        }),
        ("kscen_archive_age_seconds", "How long ago its newest manifest was written.", |entry| {
            entry.age.map(|age| age as f64)
        }),
        (
            "kscen_archive_age_known",
            "0 where its newest manifest is dated in the future: a clock was or is wrong.",
            |entry| entry.written.map(|_| f64::from(u8::from(entry.age.is_some()))),
        ),
        ("kscen_archive_records", "Records in an archive.", |entry| is_readable(entry).then_some(entry.records as f64)),
        ("kscen_archive_bytes", "Bytes of an archive's segments.", |entry| {
            is_readable(entry).then_some(entry.bytes as f64)
        }),
        ("kscen_archive_generations", "Backups that were made into an archive.", |entry| {
            is_readable(entry).then_some(f64::from(entry.generations))
        }),
        ("kscen_archive_complete", "1 where everything is there up to the cut of the newest backup.", |entry| {
            is_readable(entry).then_some(f64::from(u8::from(entry.state == ArchiveState::Complete)))
        }),
        ("kscen_archive_verified", "1 where its last verification found nothing wrong, 0 where it did.", |entry| {
            entry.verified.as_ref().map(|verified| f64::from(u8::from(verified.sound)))
        }),
        (
            "kscen_archive_verified_current",
            "1 where its newest manifest was verified, 0 where nothing did that.",
            |entry| {
                let current = entry.verified.as_ref().is_some_and(|verified| verified.newest() >= entry.manifest);
                (entry.manifest > 0).then_some(f64::from(u8::from(current)))
            },
        ),
    ];
    for (name, help, value) in families {
        page.family(name, "gauge", help);
        for entry in entries {
            if let Some(value) = value(entry) {
                page.sample(name, &[("archive", &entry.name)], value);
            }
        }
    }
    page.family("kscen_archive_verified_age_seconds", "gauge", "How long ago an archive was verified.");
    for entry in entries {
        if let Some(verified) = &entry.verified {
            let labels = [("archive", entry.name.as_str())];
            page.sample("kscen_archive_verified_age_seconds", &labels, seconds(verified.looked(), now));
        }
    }
}

fn is_readable(entry: &ArchiveEntry) -> bool {
    entry.state != ArchiveState::Unreadable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_all_that_are_not_above_them() {
        let metrics = Metrics::default();
        for millis in [1, 15, 60_000] {
            metrics.request("GET", "/api/jobs/{id}", 200, Duration::from_millis(millis));
        }
        let mut page = MetricsPage::default();
        metrics.write(&mut page);
        let text = page.text();
        for line in [
            "kscen_http_requests_total{method=\"GET\",path=\"/api/jobs/{id}\",status=\"200\"} 3",
            "kscen_http_request_duration_seconds_bucket{path=\"/api/jobs/{id}\",le=\"0.001\"} 1",
            "kscen_http_request_duration_seconds_bucket{path=\"/api/jobs/{id}\",le=\"0.02\"} 2",
            "kscen_http_request_duration_seconds_bucket{path=\"/api/jobs/{id}\",le=\"30\"} 2",
            "kscen_http_request_duration_seconds_bucket{path=\"/api/jobs/{id}\",le=\"+Inf\"} 3",
            "kscen_audit_failures_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        for line in [
            "kscen_jobs_ended_total{kind=\"restore\",state=\"failed\"} 0",
            "kscen_jobs_ended_total{kind=\"backup\",state=\"partial\"} 0",
            "kscen_job_records_total{kind=\"migrate\"} 0",
            "kscen_job_duration_seconds_bucket{kind=\"drain\",le=\"43200\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "what has not happened yet is told: {line}\n{text}");
        }
        assert!(!text.contains("state=\"queued\""), "{text}");
    }

    #[test]
    fn what_is_not_known_of_an_archive_is_no_figure_and_what_nothing_has_looked_at_is_one() {
        let entry = |name: &str, state: &str, manifest: u32, verified: Option<(bool, u32)>| -> ArchiveEntry {
            let verified = verified.map(|(sound, manifest)| {
                serde_json::json!({
                    "archive": "id", "level": "full", "sound": sound, "at": 0, "manifest": manifest, "job": "j",
                })
            });
            let value = serde_json::json!({
                "name": name, "state": state, "generations": 1, "manifest": manifest, "topics": [], "records": 5, "bytes": 9,
                "encrypted": false, "verified": verified,
            });
            serde_json::from_value(value).expect("an entry")
        };
        let entries = [
            entry("new", "empty", 0, None),
            entry("known", "complete", 7, Some((true, 7))),
            entry("grown", "complete", 7, Some((true, 6))),
            entry("never", "partial", 7, None),
            entry("broken", "unreadable", 0, Some((false, 7))),
        ];
        let mut page = MetricsPage::default();
        archives(&mut page, &entries, 1000);
        let text = page.text();
        let of = |family: &str| {
            let line = |name: &str| {
                let head = format!("kscen_archive_{family}{{archive=\"{name}\"}} ");
                text.lines().find_map(|line| line.strip_prefix(&head)?.parse::<u32>().ok())
            };
            ["new", "known", "grown", "never", "broken"].map(line)
        };
        assert_eq!(of("readable"), [Some(1), Some(1), Some(1), Some(1), Some(0)]);
        assert_eq!(of("complete"), [Some(0), Some(1), Some(1), Some(0), None]);
        assert_eq!(of("records"), [Some(5), Some(5), Some(5), Some(5), None]);
        assert_eq!(of("verified"), [None, Some(1), Some(1), None, Some(0)]);
        assert_eq!(of("verified_current"), [None, Some(1), Some(0), Some(0), None]);
        assert_eq!(of("age_known"), [None; 5], "no manifest is dated");
        let dated = |age: Option<u64>| [ArchiveEntry { written: Some(5), age, ..entries[1].clone() }];
        for (age, known) in [(Some(3), 1), (None, 0)] {
            let mut page = MetricsPage::default();
            archives(&mut page, &dated(age), 1000);
            assert!(page.text().contains(&format!("kscen_archive_age_known{{archive=\"known\"}} {known}\n")));
        }
    }
}
