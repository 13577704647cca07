//! The records of schedules as metrics.

use super::schedules::ScheduleStatus;
use crate::expose::MetricsPage;
use jiff::Timestamp;

type Figure = fn(&ScheduleStatus) -> Option<f64>;

/// Name, kind, what it is, and its value where there is one.
const FIGURES: &[(&str, &str, &str, Figure)] = &[
    ("kscen_backup_missed_total", "counter", "Scheduled backups that were due and never began.", |status| {
        Some(status.record.missed as f64)
    }),
    ("kscen_backup_succeeded_total", "counter", "Scheduled backups that succeeded.", |status| {
        Some(status.record.succeeded as f64)
    }),
    ("kscen_backup_failed_total", "counter", "Scheduled backups that did not succeed.", |status| {
        Some(status.record.failed as f64)
    }),
    ("kscen_backup_last_success_timestamp_seconds", "gauge", "When a scheduled backup last succeeded.", |status| {
        status.record.last_success.map(seconds)
    }),
    ("kscen_backup_last_failed", "gauge", "1 where the latest run did not succeed, 0 where it did.", |status| {
        status.record.last.as_ref().map(|last| f64::from(u8::from(last.problem.is_some())))
    }),
    (
        "kscen_backup_last_missed_timestamp_seconds",
        "gauge",
        "When the latest of those was due that never began.",
        |status| status.record.gaps.first().map(|gap| seconds(gap.last)),
    ),
    ("kscen_backup_next_timestamp_seconds", "gauge", "When a scheduled backup is due next.", |status| {
        status.next.map(Timestamp::as_millisecond).map(seconds)
    }),
    ("kscen_backup_pruned_generations_total", "counter", "Generations that retention has removed.", |status| {
        Some(status.record.pruned as f64)
    }),
    ("kscen_backup_retention_failed", "gauge", "1 where nothing could be removed after the latest run.", |status| {
        status.record.last.as_ref().map(|last| f64::from(u8::from(last.retention.is_some())))
    }),
];

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// Adds the schedules to a page of metrics.
pub fn tell(page: &mut MetricsPage, schedules: &[ScheduleStatus]) {
    for (name, kind, help, figure) in FIGURES {
        page.family(name, kind, help);
        for status in schedules {
            if let Some(value) = figure(status) {
                page.sample(name, &[("schedule", &status.backup.name)], value);
            }
        }
    }
}
