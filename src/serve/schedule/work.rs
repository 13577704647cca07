//! What a schedule asks of the service: its backup, that job's end, and that old generations go.

use super::keeper::{NotTaken, ScheduleWork};
use crate::backup::Level;
use crate::backup::prune::{Retention, prune};
use crate::project::ScheduledBackup;
use crate::serve::aside::aside;
use crate::serve::jobs::{JobAsked, JobFilter, JobState};
use crate::serve::problem::HttpProblem;
use crate::serve::service::Service;
use crate::serve::verified::ArchiveVerified;
use crate::serve::work::JobRequest;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

/// A schedule's work, as jobs of a service.
struct OfService<'a> {
    /// The service.
    service: &'a Service,
    /// The schedule.
    backup: &'a ScheduledBackup,
}

impl OfService<'_> {
    fn request(&self) -> Result<JobRequest, String> {
        let level = self.backup.verify.unwrap_or(Level::Full);
        let body = json!({ "topics": self.backup.topics, "archive": self.backup.archive(), "verify": level });
        serde_json::from_value(body).map(JobRequest::Backup).map_err(|error| error.to_string())
    }
}

impl ScheduleWork for OfService<'_> {
    async fn ask(&self) -> Result<String, NotTaken> {
        let request = self.request().map_err(|why| NotTaken { why, again: false })?;
        let schedule = Some(self.backup.name.clone());
        let asked = JobAsked { cluster: self.backup.cluster.clone(), request, by: None, schedule, key: None };
        let submitted = self.service.ask(asked).await.map_err(|problem| not_taken(&problem))?;
        Ok(submitted.job.id)
    }

    fn find(&self, due: i64) -> Option<String> {
        let filter = JobFilter { schedule: Some(self.backup.name.clone()), limit: 1, ..JobFilter::default() };
        let jobs = self.service.jobs().list(&filter).jobs;
        jobs.into_iter().find(|job| job.submitted >= due).map(|job| job.id)
    }

    async fn ended(&self, job: &str) -> Option<String> {
        let Some(job) = self.service.jobs().ended(job).await else {
            return Some(format!("job {job} is not known any more"));
        };
        let why = || job.problem.map(|problem| problem.reason).or(job.messages.into_iter().next());
        match job.state {
            JobState::Succeeded => None,
            state => Some(why().unwrap_or_else(|| format!("job {} is {state}", job.id))),
        }
    }

    async fn retain(&self) -> Result<u64, String> {
        let Some(retention) = self.backup.retention else { return Ok(0) };
        let (archives, name) = (self.service.archives().clone(), self.backup.archive().to_owned());
        // Nobody reads what goes.
        let held = self.service.jobs().hold(&name).map_err(|job| match job {
            Some(job) => format!("job {job} uses the archive"),
            None => "the archive is being deleted".to_owned(),
        })?;
        let pruned = aside(move || {
            let _held = held;
            let now = Timestamp::now().as_millisecond();
            let age = retention.age.map(|age| i64::try_from(age.0.as_millis()).unwrap_or(i64::MAX));
            let retention = Retention { newest: retention.generations, since: age.map(|age| now.saturating_sub(age)) };
            let archive = archives.open(&name).map_err(|problem| problem.detail)?;
            let damaged = |found: &ArchiveVerified| !found.sound && found.archive == archive.id();
            // What is old may be what is whole.
            if let Some(found) = archives.verified().of(&name).filter(damaged) {
                return Err(format!("the archive is not sound: see job {}; {}", found.job, found.remedy()));
            }
            let newest = || archive.numbers().ok()?.last().copied();
            let before = newest();
            let pruned = prune(&archive, retention, now).map_err(|error| error.to_string())?;
            if let (Some(before), Some(after), false) = (before, newest(), pruned.topics.is_empty())
                && after == before + 1
            {
                archives.verified().pruned(&name, before, after);
            }
            Ok::<_, String>(pruned)
        })
        .await?;
        Ok(pruned.generations.len() as u64)
    }
}

/// What a full queue, another job at the same archive, or a service that begins or ends refuses, it may take later.
fn not_taken(problem: &HttpProblem) -> NotTaken {
    let again = [StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    let why = match &problem.help {
        Some(help) => format!("{}: {help}", problem.detail),
        None => problem.detail.clone(),
    };
    NotTaken { why, again: again.iter().any(|status| status.as_u16() == problem.status) }
}

/// Keeps all schedules of a service until it ends.
pub async fn run(service: Service) {
    let schedules = service.schedules().clone();
    let of_service = |backup| OfService { service: &service, backup };
    tokio::select! {
        () = schedules.keep(of_service) => {}
        () = service.stopping() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::bench::service;

    #[tokio::test]
    async fn a_schedule_asks_as_anybody_does() {
        let (_root, service) = service(|_, _| {}).await;
        let backup = json!({ "name": "nightly", "cluster": "prod", "topics": ["orders"], "cron": "0 3 * * *" });
        let backup: ScheduledBackup = serde_json::from_value(backup).expect("a schedule");
        let work = OfService { service: &service, backup: &backup };
        let id = work.ask().await.expect("taken");
        let job = service.jobs().get(&id).expect("it is there");
        assert_eq!((job.schedule.as_deref(), job.archive.as_deref()), (Some("nightly"), Some("nightly")));
        let asked = serde_json::to_value(&job.request).expect("it can be written");
        assert_eq!((&asked["topics"], &asked["verify"]), (&json!(["orders"]), &json!("full")));
        assert_eq!((work.find(job.submitted), work.find(job.submitted + 1)), (Some(id.clone()), None));
        assert!(work.ask().await.expect_err("the archive has a writer").again);
        service.jobs().cancel(&id).await.expect("cancelled");
        assert_eq!(work.ended(&id).await, Some(format!("job {id} is cancelled")));
        assert_eq!(work.ended("none").await.as_deref(), Some("job none is not known any more"));
        assert_eq!(work.retain().await, Ok(0), "all generations stay");
        let elsewhere = ScheduledBackup { cluster: "gone".to_owned(), ..backup };
        let refused = OfService { service: &service, backup: &elsewhere }.ask().await.expect_err("no such cluster");
        assert!(!refused.again && refused.why.contains("there is no cluster `gone`"), "{refused:?}");
    }

    #[tokio::test]
    async fn of_a_damaged_archive_nothing_is_removed() {
        let (_root, service) = service(|_, _| {}).await;
        let backup = json!({
            "name": "nightly", "cluster": "prod", "topics": ["orders"], "cron": "0 3 * * *", "retention": { "generations": 1 },
        });
        let backup: ScheduledBackup = serde_json::from_value(backup).expect("a schedule");
        let work = OfService { service: &service, backup: &backup };
        let (archives, id) = (service.archives(), "0123456789abcdef0123456789abcdef");
        crate::backup::Archive::create(archives.store("nightly").expect("a place"), id).expect("made");
        let found = |level, sound, job: &str| {
            let (archive, job, later) = (id.to_owned(), job.to_owned(), None);
            ArchiveVerified { archive, level, sealed: false, sound, at: 1, manifest: 1, job, later }
        };
        let keep = |found, known| archives.verified().keep("nightly", found, known).expect("kept");
        keep(found(Level::Full, false, "j1"), None);
        for later in [None, Some(found(Level::Quick, true, "j2"))] {
            if let Some(later) = later {
                keep(later, Some("j1"));
            }
            let refused = work.retain().await.expect_err("it is damaged");
            assert!(refused.contains("not sound: see job j1") && refused.contains("at `full`"), "{refused}");
        }
        keep(found(Level::Full, true, "j3"), Some("j1"));
        let retained = work.retain().await;
        assert!(!retained.as_ref().is_err_and(|why| why.contains("not sound: see job")), "{retained:?}");
    }

    #[test]
    fn what_may_be_taken_later_is_asked_again() {
        let full = HttpProblem::new(StatusCode::TOO_MANY_REQUESTS, "queue-full", "100 jobs wait").help("try later");
        assert_eq!(not_taken(&full), NotTaken { why: "100 jobs wait: try later".to_owned(), again: true });
        assert!(!not_taken(&HttpProblem::absent("unknown-cluster", "there is no cluster `prod`")).again);
    }
}
