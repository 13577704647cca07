//! Keeps one schedule: asks for its backup when it is due, waits for its end, and lets old generations go.

use super::diary::Diary;
use super::record::ScheduledRun;
use crate::project::Timetable;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use std::future::{Future, pending};
use std::time::Duration;

/// So often it is looked again, whatever is due next: the machine may have slept, or its clock may have been set.
const TICK: Duration = Duration::from_secs(10);

/// What a schedule asks of the service.
pub(super) trait ScheduleWork: Sync {
    /// Asks for the backup. Answers the id of its job.
    fn ask(&self) -> impl Future<Output = Result<String, NotTaken>> + Send;

    /// The job that was asked for at this time or later, in ms since the epoch, where there is one.
    fn find(&self, due: i64) -> Option<String>;

    /// Waits until a job is over, and answers why it did not succeed, where it did not.
    fn ended(&self, job: &str) -> impl Future<Output = Option<String>> + Send;

    /// Removes what retention does not keep. Answers how many generations went, or why none could.
    fn retain(&self) -> impl Future<Output = Result<u64, String>> + Send;
}

/// Why the service has not taken a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotTaken {
    /// What it said.
    pub why: String,
    /// Whether it may take it later.
    pub again: bool,
}

/// Keeps a schedule until it is dropped. `clock` says what time it is.
pub(super) async fn keep<W: ScheduleWork>(
    name: &str,
    timetable: &Timetable,
    diary: &Diary,
    clock: &(dyn Fn() -> Timestamp + Sync),
    work: &W,
) {
    let up_since = clock();
    diary.change(name, |record| record.begin(timetable, up_since));
    // The service may have ended between taking the run and writing that down.
    if let Some(ScheduledRun { due, job: None, .. }) = diary.record(name).run
        && let Some(job) = work.find(due)
    {
        diary.change(name, |record| record.taken(job));
    }
    // A run is at work until old generations have gone.
    let mut ending: Option<BoxFuture<'_, RunEnd>> = None;
    loop {
        let now = clock();
        if diary.change(name, |record| record.look(timetable, now, up_since)) {
            match work.ask().await {
                Ok(job) => diary.change(name, |record| record.taken(job)),
                Err(NotTaken { why, again }) => diary.change(name, |record| record.refused(why, again)),
            }
        }
        let next = timetable.after(now).and_then(|due| Duration::try_from(due.duration_since(now)).ok());
        let pause = tokio::time::sleep(next.map_or(TICK, |next| next.min(TICK)));
        if let (None, Some(job)) = (&ending, diary.record(name).run.and_then(|run| run.job)) {
            ending = Some(Box::pin(end(work, job)));
        }
        let ended = async {
            match &mut ending {
                Some(ending) => ending.await,
                None => pending().await,
            }
        };
        tokio::select! {
            (problem, retention) = ended => {
                ending = None;
                diary.change(name, |record| record.ended(clock(), problem, retention));
            }
            () = pause => {}
        }
    }
}

/// Why a run did not succeed, where it did not, and what retention did after it.
type RunEnd = (Option<String>, Result<u64, String>);

/// Waits for the end of a job, and lets old generations go.
async fn end<W: ScheduleWork>(work: &W, job: String) -> RunEnd {
    let problem = work.ended(&job).await;
    let retention = if problem.is_none() { work.retain().await } else { Ok(0) };
    (problem, retention)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::lock;
    use crate::serve::state::ServeState;
    use std::sync::Mutex;
    use tokio::time::Instant;

    /// A service that does as it is told.
    #[derive(Default)]
    struct Told {
        /// What it answers, one after the other; then it takes everything.
        answers: Mutex<Vec<NotTaken>>,
        /// When it was asked.
        asked: Mutex<Vec<Timestamp>>,
        /// How long a job takes, and why it fails.
        takes: Duration,
        fails: Option<String>,
        /// How long old generations take to go.
        prunes: Duration,
        found: Option<String>,
        base: Timestamp,
        start: Option<Instant>,
    }

    impl Told {
        fn at(base: &str) -> Self {
            Self { base: base.parse().expect("a time"), start: Some(Instant::now()), ..Self::default() }
        }

        fn now(&self) -> Timestamp {
            self.base + self.start.expect("it has begun").elapsed()
        }

        fn asked(&self) -> Vec<String> {
            lock(&self.asked).iter().map(ToString::to_string).collect()
        }
    }

    impl ScheduleWork for Told {
        async fn ask(&self) -> Result<String, NotTaken> {
            lock(&self.asked).push(self.now());
            match lock(&self.answers).pop() {
                Some(refused) => Err(refused),
                None => Ok(format!("j{}", lock(&self.asked).len())),
            }
        }

        fn find(&self, _: i64) -> Option<String> {
            self.found.clone()
        }

        async fn ended(&self, _: &str) -> Option<String> {
            tokio::time::sleep(self.takes).await;
            self.fails.clone()
        }

        async fn retain(&self) -> Result<u64, String> {
            tokio::time::sleep(self.prunes).await;
            Ok(1)
        }
    }

    async fn kept(
        told: &Told,
        cron: &str,
        folder: &std::path::Path,
        minutes: u64,
    ) -> super::super::record::ScheduleRecord {
        let diary = Diary::read(ServeState::open(folder).expect("a state")).0;
        let timetable = Timetable::new(cron, None).expect("a timetable");
        let clock = || told.now();
        let limit = Duration::from_secs(minutes * 60);
        let kept = tokio::time::timeout(limit, keep("nightly", &timetable, &diary, &clock, told)).await;
        assert!(kept.is_err(), "it goes on for ever");
        diary.record("nightly")
    }

    #[tokio::test(start_paused = true)]
    async fn each_night_has_one_backup_and_one_pruning() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = Told { takes: Duration::from_secs(5), ..Told::at("2026-11-10T12:00:00Z") };
        let record = kept(&told, "0 3 * * *", folder.path(), 48 * 60).await;
        assert_eq!(told.asked(), ["2026-11-11T03:00:00Z", "2026-11-12T03:00:00Z"]);
        assert_eq!((record.succeeded, record.failed, record.missed, record.pruned), (2, 0, 0, 2));
        assert_eq!(record.run, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_backup_is_counted_and_nothing_is_pruned() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = Told { fails: Some("no broker".to_owned()), ..Told::at("2026-11-10T12:00:00Z") };
        let record = kept(&told, "@hourly", folder.path(), 150).await;
        assert_eq!((record.succeeded, record.failed, record.pruned), (0, 2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_while_old_generations_go_is_kept_away_by_that_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let prunes = Duration::from_secs(90 * 60);
        let told = Told { takes: Duration::from_secs(5), prunes, ..Told::at("2026-11-10T12:30:00Z") };
        let record = kept(&told, "@hourly", folder.path(), 155).await;
        assert_eq!(told.asked(), ["2026-11-10T13:00:00Z", "2026-11-10T15:00:00Z"]);
        assert_eq!((record.succeeded, record.missed, record.pruned), (1, 1, 1));
        assert_eq!(record.gaps[0].why, "the run of 2026-11-10T13:00:00Z was still going on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_is_asked_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let full = NotTaken { why: "the queue is full".to_owned(), again: true };
        let answers = Mutex::new(vec![full.clone(), full]);
        let told = Told { answers, ..Told::at("2026-11-10T12:00:00Z") };
        let record = kept(&told, "0 13 * * *", folder.path(), 120).await;
        assert_eq!(told.asked(), ["2026-11-10T13:00:00Z", "2026-11-10T13:00:10Z", "2026-11-10T13:00:20Z"]);
        assert_eq!((record.succeeded, record.missed), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_was_down_goes_on_with_its_run_and_tells_what_it_missed() {
        let folder = tempfile::tempdir().expect("a folder");
        // It ended while a backup was at work, and stayed away for three hours.
        let told = Told { takes: Duration::from_secs(7200), ..Told::at("2026-11-10T12:00:00Z") };
        let record = kept(&told, "@hourly", folder.path(), 90).await;
        assert_eq!(record.run.as_ref().and_then(|run| run.job.as_deref()), Some("j1"));
        let told = Told::at("2026-11-10T17:30:00Z");
        let record = kept(&told, "@hourly", folder.path(), 60).await;
        assert_eq!(told.asked(), ["2026-11-10T18:00:00Z"], "the run that went on was not asked for again");
        assert_eq!((record.succeeded, record.missed), (2, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_was_taken_and_not_written_down_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let diary = Diary::read(ServeState::open(folder.path()).expect("a state")).0;
        let due = "2026-11-10T12:00:00Z".parse::<Timestamp>().expect("a time").as_millisecond();
        diary.change("nightly", |record| {
            record.timetable = "@hourly UTC".to_owned();
            record.seen = due;
            record.run = Some(ScheduledRun { due, job: None, refused: None });
        });
        drop(diary);
        let told =
            Told { found: Some("j7".to_owned()), takes: Duration::from_secs(7200), ..Told::at("2026-11-10T12:05:00Z") };
        let record = kept(&told, "@hourly", folder.path(), 0).await;
        assert_eq!((told.asked().len(), record.run.and_then(|run| run.job).as_deref()), (0, Some("j7")));
    }
}
