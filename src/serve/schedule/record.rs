//! What has become of a schedule: kept on disk, so that what was due while no service ran is noticed when one runs again.

use crate::project::Timetable;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What is found later than this after it was due is missed: a backup at noon is not the one of the night.
const GRACE: SignedDuration = SignedDuration::from_mins(1);
/// So long a run is asked for again where the service has no room for it, and so long a clock may take to be set.
const PATIENCE: SignedDuration = SignedDuration::from_mins(15);
/// So many gaps are listed, the newest first; all are counted.
const LISTED: usize = 20;
/// More than so many times of one gap are not counted one by one.
const COUNTED: u64 = 100_000;

/// What is known of a schedule. Times are in ms since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScheduleRecord {
    /// The timetable that `seen` is of.
    pub timetable: String,
    /// What was due until then has been begun, or is among what was missed.
    pub seen: i64,
    /// The run that is not over yet.
    pub run: Option<ScheduledRun>,
    /// How the latest run that is over ended.
    pub last: Option<ScheduledEnd>,
    /// When a run last succeeded.
    pub last_success: Option<i64>,
    /// How many runs succeeded.
    pub succeeded: u64,
    /// How many did not.
    pub failed: u64,
    /// How many were due and never began.
    pub missed: u64,
    /// The latest of them.
    pub gaps: Vec<MissedRuns>,
    /// How many generations retention has removed.
    pub pruned: u64,
    /// Since when times that are noted lie ahead of the clock, by that clock.
    #[serde(skip)]
    pub ahead: Option<Timestamp>,
}

/// A run that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledRun {
    /// When it was due.
    pub due: i64,
    /// Its job; nothing before the service has taken it.
    pub job: Option<String>,
    /// Why the service has not taken it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledEnd {
    /// When it was due.
    pub due: i64,
    /// Its job.
    pub job: String,
    /// When it ended.
    pub ended: i64,
    /// Why it did not succeed; nothing where it did.
    pub problem: Option<String>,
    /// Why nothing could be removed after it, though retention is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
}

/// Runs that were due one after the other and never began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissedRuns {
    /// When the first was due.
    pub first: i64,
    /// When the last was.
    pub last: i64,
    /// How many there are.
    pub times: u64,
    /// Why they did not begin.
    pub why: String,
}

impl ScheduleRecord {
    /// Goes on with what is kept of a schedule, at a start of the service. What is new, or is due at other times than before, has
    /// missed nothing.
    pub fn begin(&mut self, timetable: &Timetable, now: Timestamp) {
        let text = timetable.to_string();
        if self.timetable != text {
            (self.timetable, self.seen) = (text, now.as_millisecond());
        }
    }

    /// Looks what has become due. Answers whether there is a run that the service has to be asked for.
    pub fn look(&mut self, timetable: &Timetable, now: Timestamp, up_since: Timestamp) -> bool {
        self.set_right(now);
        let after = |moment: i64| timetable.after(Timestamp::from_millisecond(moment).ok()?).filter(|due| *due <= now);
        let mut due = Vec::new();
        let mut gap: Option<MissedRuns> = None;
        let mut seen = self.seen;
        while let Some(next) = after(seen) {
            seen = next.as_millisecond();
            if now.duration_since(next) <= GRACE {
                due.push(seen);
                continue;
            }
            let gap =
                gap.get_or_insert_with(|| MissedRuns { first: seen, last: seen, times: 0, why: late(next, up_since) });
            (gap.last, gap.times) = (seen, gap.times + 1);
            if gap.times == COUNTED {
                seen = now.as_millisecond();
            }
        }
        self.seen = seen;
        if let Some(gap) = gap {
            self.miss(gap);
        }
        for due in due {
            match &self.run {
                Some(ScheduledRun { job: Some(_), due: since, .. }) => {
                    let why = format!("the run of {} was still going on", moment(*since));
                    self.miss(MissedRuns { first: due, last: due, times: 1, why });
                }
                _ => {
                    self.give_up();
                    self.run = Some(ScheduledRun { due, job: None, refused: None });
                }
            }
        }
        let waiting = |run: &ScheduledRun| run.job.is_none().then_some(run.due);
        let is_late = |due: i64| Timestamp::from_millisecond(due).is_ok_and(|due| now.duration_since(due) > PATIENCE);
        match self.run.as_ref().and_then(waiting) {
            Some(due) if is_late(due) => {
                self.give_up();
                false
            }
            waiting => waiting.is_some(),
        }
    }

    /// Where a clock was ahead and was set right, nothing was later than now: what is due until it is there again is not over, and no success
    /// is newer than what is missed from now on. A machine that has just started may as well have a clock that is behind: that is set soon,
    /// and nothing was wrong with what is noted.
    fn set_right(&mut self, now: Timestamp) {
        let is_ahead =
            |moment: i64| Timestamp::from_millisecond(moment).map_or(true, |moment| moment.duration_since(now) > GRACE);
        let Self { seen, last_success, gaps, last, run, ahead, .. } = self;
        let gaps = gaps.iter_mut().flat_map(|gap| [&mut gap.first, &mut gap.last]);
        let last = last.iter_mut().flat_map(|last| [&mut last.due, &mut last.ended]);
        let run = run.iter_mut().map(|run| &mut run.due);
        let moments = [seen].into_iter().chain(last_success).chain(gaps).chain(last).chain(run);
        let moments: Vec<&mut i64> = moments.filter(|moment| is_ahead(**moment)).collect();
        let since = ahead.filter(|since| *since <= now).unwrap_or(now);
        *ahead = (!moments.is_empty()).then_some(since);
        if ahead.is_some() && now.duration_since(since) >= PATIENCE {
            *ahead = None;
            // What was due since then is found, and told, by this very look.
            moments.into_iter().for_each(|moment| *moment = since.as_millisecond());
        }
    }

    /// The service has taken the run.
    pub fn taken(&mut self, job: String) {
        if let Some(run) = &mut self.run {
            (run.job, run.refused) = (Some(job), None);
        }
    }

    /// The service has not taken the run. Where `again`, it is asked again.
    pub fn refused(&mut self, why: String, again: bool) {
        if let Some(run) = &mut self.run {
            run.refused = Some(why);
        }
        if !again {
            self.give_up();
        }
    }

    /// The run is over: why it did not succeed, where it did not; and what retention did after it.
    pub fn ended(&mut self, now: Timestamp, problem: Option<String>, retention: Result<u64, String>) {
        let Some(ScheduledRun { due, job: Some(job), .. }) = self.run.take() else { return };
        let ended = now.as_millisecond();
        match &problem {
            None => (self.succeeded, self.last_success) = (self.succeeded + 1, Some(ended)),
            Some(_) => self.failed += 1,
        }
        self.pruned += *retention.as_ref().unwrap_or(&0);
        self.last = Some(ScheduledEnd { due, job, ended, problem, retention: retention.err() });
    }

    /// The run that was not taken is one that was missed.
    fn give_up(&mut self) {
        let Some(run) = self.run.take() else { return };
        let why = run.refused.unwrap_or_else(|| "it could not be begun in time".to_owned());
        self.miss(MissedRuns { first: run.due, last: run.due, times: 1, why });
    }

    fn miss(&mut self, gap: MissedRuns) {
        self.missed += gap.times;
        // A run between them makes two gaps of them.
        let run = self.last.as_ref().map(|last| last.due);
        let goes_on = |latest: &&mut MissedRuns| latest.why == gap.why && run.is_none_or(|run| run < latest.first);
        match self.gaps.first_mut().filter(goes_on) {
            Some(latest) => (latest.last, latest.times) = (gap.last, latest.times + gap.times),
            None => self.gaps.insert(0, gap),
        }
        self.gaps.truncate(LISTED);
    }
}

/// Why something was found too late.
fn late(due: Timestamp, up_since: Timestamp) -> String {
    let why =
        if due < up_since { "the service was not running" } else { "the machine was asleep, or its clock was set" };
    why.to_owned()
}

fn moment(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map(|moment| moment.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-{text}Z").parse().expect("a time")
    }

    fn nightly() -> Timetable {
        Timetable::new("0 3 * * *", None).expect("a timetable")
    }

    fn begun(now: &str) -> ScheduleRecord {
        let mut record = ScheduleRecord::default();
        record.begin(&nightly(), at(now));
        record
    }

    #[test]
    fn what_is_due_is_asked_for_once() {
        let (table, up) = (nightly(), at("10T12:00:00"));
        let mut record = begun("10T12:00:00");
        assert!(!record.look(&table, at("11T02:59:59"), up));
        assert!(record.look(&table, at("11T03:00:00"), up));
        assert!(record.look(&table, at("11T03:00:10"), up), "it is not taken yet");
        record.taken("j1".to_owned());
        assert!(!record.look(&table, at("11T03:00:20"), up));
        record.ended(at("11T03:10:00"), None, Ok(2));
        assert!(!record.look(&table, at("11T03:10:01"), up));
        assert!(record.look(&table, at("12T03:00:00"), up));
        record.taken("j2".to_owned());
        record.ended(at("12T03:01:00"), Some("the disk is full".to_owned()), Ok(0));
        assert_eq!((record.succeeded, record.failed, record.missed, record.pruned), (1, 1, 0, 2));
        assert_eq!(record.last_success, Some(at("11T03:10:00").as_millisecond()));
        assert_eq!(record.last.and_then(|last| last.problem).as_deref(), Some("the disk is full"));
    }

    #[test]
    fn what_was_due_while_no_service_ran_is_missed() {
        let table = nightly();
        let mut record = begun("10T12:00:00");
        let up = at("14T12:00:00");
        record.begin(&table, up);
        assert!(!record.look(&table, up, up));
        let ms = |text| at(text).as_millisecond();
        let why = "the service was not running".to_owned();
        assert_eq!(record.gaps, [MissedRuns { first: ms("11T03:00:00"), last: ms("14T03:00:00"), times: 4, why }]);
        assert_eq!(record.missed, 4);
        // A service that was begun anew for a moment has missed nothing.
        let up = at("15T03:00:40");
        assert!(record.look(&table, up, up));
        // A machine that slept has.
        record.taken("j".to_owned());
        record.ended(at("15T03:01:00"), None, Ok(0));
        assert!(!record.look(&table, at("16T04:00:00"), up));
        assert_eq!(record.gaps[0].why, "the machine was asleep, or its clock was set");
    }

    #[test]
    fn a_run_that_goes_on_keeps_the_next_one_away() {
        let (table, up) = (nightly(), at("10T12:00:00"));
        let mut record = begun("10T12:00:00");
        assert!(record.look(&table, at("11T03:00:00"), up));
        record.taken("j1".to_owned());
        for night in ["12T03:00:00", "13T03:00:00"] {
            assert!(!record.look(&table, at(night), up));
        }
        assert_eq!((record.missed, record.gaps.len()), (2, 1));
        assert_eq!(record.gaps[0].why, "the run of 2026-11-11T03:00:00Z was still going on");
        // The next start of the service goes on waiting for it.
        let kept = serde_json::to_string(&record).expect("it can be written");
        let mut record: ScheduleRecord = serde_json::from_str(&kept).expect("it can be read");
        record.begin(&table, at("13T12:00:00"));
        assert_eq!(record.run.as_ref().and_then(|run| run.job.as_deref()), Some("j1"));
    }

    /// As of a machine that has no clock of its own, before it is told the time.
    #[test]
    fn a_clock_that_is_behind_for_a_moment_makes_nothing_forgotten() {
        let (table, mut record) = (nightly(), begun("10T12:00:00"));
        assert!(record.look(&table, at("11T03:00:00"), at("10T12:00:00")));
        record.taken("j1".to_owned());
        record.ended(at("11T03:10:00"), None, Ok(0));
        let noted = record.clone();
        let boot: Timestamp = "1970-01-01T00:00:20Z".parse().expect("a time");
        record.begin(&table, boot);
        for seconds in [0, 10, 20] {
            assert!(!record.look(&table, boot + SignedDuration::from_secs(seconds), boot));
        }
        assert!(!record.look(&table, at("11T12:00:00"), boot));
        assert_eq!(record, noted, "nothing is missed, and the success is that of the night");
        assert!(record.look(&table, at("12T03:00:00"), boot));
    }

    #[test]
    fn what_the_service_has_no_room_for_is_asked_again_and_then_missed() {
        let (table, up) = (nightly(), at("10T12:00:00"));
        let mut record = begun("10T12:00:00");
        assert!(record.look(&table, at("11T03:00:00"), up));
        record.refused("the queue is full".to_owned(), true);
        assert!(record.look(&table, at("11T03:14:00"), up));
        assert!(!record.look(&table, at("11T03:15:01"), up));
        assert_eq!((record.missed, record.run.is_none()), (1, true));
        assert_eq!(record.gaps[0].why, "the queue is full");
        assert!(record.look(&table, at("12T03:00:00"), up));
        record.refused("`prod` does not grant `backup`".to_owned(), false);
        assert_eq!((record.missed, record.run.is_none()), (2, true), "what will not change is not asked again");
    }

    #[test]
    fn other_times_than_before_have_missed_nothing() {
        let mut record = begun("10T12:00:00");
        let hourly = Timetable::new("@hourly", None).expect("a timetable");
        record.begin(&hourly, at("14T12:30:00"));
        assert!(!record.look(&hourly, at("14T12:30:00"), at("14T12:30:00")));
        assert_eq!(record.missed, 0);
    }

    #[test]
    fn after_a_clock_that_was_ahead_the_next_run_is_asked_for() {
        let (table, up) = (nightly(), at("10T12:00:00"));
        let mut record = ScheduleRecord::default();
        let ahead: Timestamp = "2027-06-01T00:00:00Z".parse().expect("a time");
        record.begin(&table, ahead);
        // Of what ended and was missed then.
        let gap = MissedRuns { first: 0, last: ahead.as_millisecond(), times: 2, why: "the queue is full".to_owned() };
        record.gaps.push(gap);
        record.run = Some(ScheduledRun { due: ahead.as_millisecond(), job: Some("j0".to_owned()), refused: None });
        record.ended(ahead, None, Ok(0));
        let noted = record.clone();
        assert!(!record.look(&table, at("10T12:00:00"), up));
        let waits = ScheduleRecord { ahead: Some(at("10T12:00:00")), ..noted };
        assert_eq!(record, waits, "the present time may be the wrong one");
        assert!(!record.look(&table, at("10T12:15:00"), up));
        let right = at("10T12:00:00").as_millisecond();
        let last = record.last.as_ref().map(|last| (last.due, last.ended));
        assert_eq!((record.last_success, last, record.gaps[0].last), (Some(right), Some((right, right)), right));
        assert!(record.look(&table, at("11T03:00:00"), up));
        record.taken("j1".to_owned());
        record.ended(at("11T03:10:00"), None, Ok(0));
        // One that is set back by less than a minute asks for nothing twice.
        assert!(!record.look(&table, at("11T02:59:30"), up));
        assert!(!record.look(&table, at("11T03:00:10"), up));
        assert_eq!((record.succeeded, record.missed), (2, 0));
    }

    #[test]
    fn what_was_due_while_a_clock_was_in_doubt_is_told() {
        let (table, up) = (Timetable::new("*/10 * * * *", None).expect("a timetable"), at("10T11:00:00"));
        let mut record = ScheduleRecord::default();
        record.begin(&table, at("10T13:00:00"));
        assert!(!record.look(&table, at("10T12:00:00"), up));
        assert!(!record.look(&table, at("10T12:15:00"), up));
        assert_eq!((record.missed, record.gaps[0].first), (1, at("10T12:10:00").as_millisecond()));
        assert!(record.look(&table, at("10T12:20:00"), up));
    }

    #[test]
    fn very_many_missed_times_are_counted_within_bounds() {
        let each = Timetable::new("* * * * *", None).expect("a timetable");
        let mut record = ScheduleRecord { seen: at("10T12:00:00").as_millisecond(), ..ScheduleRecord::default() };
        record.begin(&each, at("10T12:00:00"));
        let later = at("10T12:00:00") + SignedDuration::from_hours(24 * 365);
        assert!(!record.look(&each, later, later));
        assert_eq!(record.missed, COUNTED);
        assert_eq!(record.seen, later.as_millisecond());
    }
}
