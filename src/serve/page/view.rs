//! What the page shows, as its templates see it: nothing but texts, of which each is escaped where it is shown.

use super::words::{self, ShownTime};
use crate::ground::plural;
use crate::serve::age::age;
use crate::serve::archives::{ArchiveEntry, ArchiveState, ArchiveTopic};
use crate::serve::jobs::{Job, JobKind, JobState};
use crate::serve::schedule::{MissedRuns, ScheduleStatus};
use crate::serve::tokens::Caller;
use serde::Serialize;
use serde_json::Value;

/// So many topics of an archive, or messages of a job, are listed.
const LISTED: usize = 100;
/// Runs that were missed longer ago than this are no news.
const NEWS: i64 = 7 * 86_400_000;

/// Everything that the page shows of the service at a moment.
pub struct Shown<'a> {
    /// Jobs, the newest first.
    pub jobs: &'a [Job],
    /// How many wait and how many are at work, of all jobs.
    pub waiting: usize,
    pub running: usize,
    /// Archives, or why they cannot be listed.
    pub archives: Result<&'a [ArchiveEntry], &'a str>,
    /// Schedules.
    pub schedules: &'a [ScheduleStatus],
    /// What is wrong with the service itself.
    pub troubles: &'a [String],
    /// Who looks.
    pub caller: &'a Caller,
    /// The moment, in ms since the epoch.
    pub now: i64,
}

/// A state in a word, with a symbol for those who see no colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tag {
    word: &'static str,
    symbol: &'static str,
    tone: &'static str,
}

impl Tag {
    const fn new(word: &'static str, symbol: &'static str, tone: &'static str) -> Self {
        Self { word, symbol, tone }
    }

    fn of_job(state: JobState) -> Self {
        let (symbol, tone) = match state {
            JobState::Queued => ("○", "none"),
            JobState::Running => ("▶", "plain"),
            JobState::Verifying => ("◎", "plain"),
            JobState::Succeeded => ("✓", "good"),
            JobState::Partial => ("◐", "warn"),
            JobState::Failed => ("✗", "bad"),
            JobState::Cancelled => ("–", "none"),
            JobState::Interrupted => ("‖", "warn"),
        };
        Self::new(state.word(), symbol, tone)
    }
}

/// A figure at the top.
#[derive(Serialize)]
struct Figure {
    name: &'static str,
    value: String,
    tone: &'static str,
}

#[derive(Serialize)]
struct JobRow {
    id: String,
    state: Tag,
    title: String,
    from: Option<String>,
    progress: String,
    /// In per cent, where it is at work and a total is known.
    share: Option<u64>,
    when: Option<ShownTime>,
    took: String,
    problem: Option<String>,
    remedy: Option<String>,
    summary: String,
    messages: Vec<String>,
    cancel: bool,
}

#[derive(Serialize)]
struct VerifiedTag {
    #[serde(flatten)]
    tag: Tag,
    level: String,
    at: Option<ShownTime>,
}

#[derive(Serialize)]
struct ArchiveRow {
    name: String,
    cluster: Option<String>,
    state: Tag,
    written: Option<ShownTime>,
    age: String,
    problem: Option<String>,
    verified: VerifiedTag,
    holds: String,
    topics: Vec<String>,
    topics_summary: String,
    size: String,
    may_verify: bool,
    may_restore: bool,
}

#[derive(Serialize)]
struct ScheduleRow {
    name: String,
    what: String,
    timetable: String,
    next: Option<ShownTime>,
    until: String,
    state: Tag,
    latest: Option<ShownTime>,
    problem: Option<String>,
    retention: Option<String>,
    success: Option<ShownTime>,
    success_age: String,
    missed: String,
    gaps: Vec<String>,
}

/// The parts of the page that change, as values for their templates.
pub fn parts(shown: &Shown<'_>) -> Vec<(&'static str, Value)> {
    let failure = shown.archives.err();
    let archives: Vec<ArchiveRow> =
        shown.archives.unwrap_or_default().iter().map(|entry| archive(entry, shown)).collect();
    let jobs: Vec<JobRow> = shown.jobs.iter().map(|found| job(found, shown)).collect();
    let schedules: Vec<ScheduleRow> = shown.schedules.iter().map(|status| schedule(status, shown.now)).collect();
    vec![
        ("problems", serde_json::json!({ "problems": problems(shown) })),
        ("figures", serde_json::json!({ "figures": figures(shown) })),
        ("jobs", serde_json::json!({ "jobs": jobs })),
        ("archives", serde_json::json!({ "archives": archives, "failure": failure })),
        ("schedules", serde_json::json!({ "schedules": schedules })),
    ]
}

/// What needs attention, the worst first.
fn problems(shown: &Shown<'_>) -> Vec<String> {
    let mut found = shown.troubles.to_vec();
    for entry in shown.archives.unwrap_or_default() {
        if let Some(problem) = &entry.problem {
            found.push(format!("archive {} cannot be read: {problem}", entry.name));
        }
        if entry.written.is_some_and(|written| age(written, shown.now).is_none()) {
            let name = &entry.name;
            found.push(format!("the newest backup in archive {name} is dated in the future: see the clock"));
        }
        if let Some(verified) = entry.verified.as_ref().filter(|verified| !verified.sound) {
            found.push(format!("archive {} is not sound: see job {}; {}", entry.name, verified.job, verified.remedy()));
        }
    }
    for status in shown.schedules {
        let (name, record) = (&status.backup.name, &status.record);
        if let Some(problem) = record.last.as_ref().and_then(|last| last.problem.as_ref()) {
            found.push(format!("the latest run of schedule {name} did not succeed: {problem}"));
        }
        if let Some(gap) = record.gaps.first().filter(|gap| shown.now.saturating_sub(gap.last) < NEWS) {
            found.push(format!("schedule {name} has missed runs: {}", told(gap)));
        }
    }
    found
}

fn told(gap: &MissedRuns) -> String {
    let time = |ms| ShownTime::of(ms).map(|time| time.text).unwrap_or_default();
    match gap.times {
        1 => format!("{}: {}", time(gap.first), gap.why),
        times => format!("{} times from {} to {}: {}", words::count(times), time(gap.first), time(gap.last), gap.why),
    }
}

fn figures(shown: &Shown<'_>) -> Vec<Figure> {
    let archives = shown.archives.unwrap_or_default();
    let is_unverified = |entry: &&ArchiveEntry| verification(entry).tag.tone != "good";
    let unverified = archives.iter().filter(is_unverified).count();
    let bytes = archives.iter().map(|entry| entry.bytes).sum();
    let missed: u64 = shown.schedules.iter().map(|status| status.record.missed).sum();
    let figure = |name, value: String, tone| Figure { name, value, tone };
    let count = |count: usize| words::count(count as u64);
    // Where they cannot be listed, nothing is known of them.
    let known = |value: String| if shown.archives.is_ok() { value } else { "–".to_owned() };
    let tone = |count: usize, tone| if count > 0 { tone } else { "plain" };
    vec![
        figure("at work", count(shown.running), "plain"),
        figure("waiting", count(shown.waiting), "plain"),
        figure("archives", known(count(archives.len())), "plain"),
        figure("in archives", known(words::bytes(bytes)), "plain"),
        figure("not verified", known(count(unverified)), tone(unverified, "warn")),
        figure("missed runs", words::count(missed), if missed > 0 { "bad" } else { "plain" }),
    ]
}

fn job(job: &Job, shown: &Shown<'_>) -> JobRow {
    let shown_now = shown.now;
    let begun = job.started.unwrap_or(job.submitted);
    let took = match (job.started, job.ended) {
        (None, None) => format!("waits for {}", words::length(shown_now - job.submitted)),
        (Some(started), None) => format!("for {}", words::length(shown_now - started)),
        (_, Some(ended)) => format!("took {}, ended {}", words::length(ended - begun), words::ago(ended, shown_now)),
    };
    let of = job.progress.total.filter(|total| *total > 0);
    let records = match of {
        Some(total) if !job.state.is_final() => {
            format!("{} of {} records", words::count(job.progress.records), words::count(total))
        }
        _ => format!("{} records", words::count(job.progress.records)),
    };
    let at_work = matches!(job.state, JobState::Running | JobState::Verifying);
    let asked = match (&job.schedule, &job.by) {
        (Some(schedule), _) => Some(format!("by schedule {schedule}")),
        (None, Some(name)) => Some(format!("by {name}")),
        (None, None) => None,
    };
    let again = (job.attempts > 1).then(|| format!("begun {} times", job.attempts));
    let from: Vec<String> = [asked, again].into_iter().flatten().collect();
    JobRow {
        id: job.id.clone(),
        state: Tag::of_job(job.state),
        title: title(job),
        from: (!from.is_empty()).then(|| from.join(" · ")),
        progress: if job.progress.bytes > 0 {
            format!("{records}, {}", words::bytes(job.progress.bytes))
        } else {
            records
        },
        share: of.filter(|_| at_work).map(|total| (job.progress.records.saturating_mul(100) / total).min(100)),
        when: ShownTime::of(begun),
        took,
        problem: job.problem.as_ref().map(|problem| problem.reason.clone()),
        remedy: job.problem.as_ref().and_then(|problem| problem.remedy.clone()),
        summary: plural(job.messages.len(), "message"),
        messages: job.messages.iter().take(LISTED).cloned().collect(),
        cancel: !job.state.is_final() && shown.caller.has(job.kind.scopes()),
    }
}

/// What a job is about, in a line.
fn title(job: &Job) -> String {
    let request = serde_json::to_value(&job.request).unwrap_or_default();
    let text = |key: &str| request.get(key).and_then(Value::as_str).map(str::to_owned);
    let listed = request.get("topics").and_then(Value::as_array).into_iter().flatten();
    let mut topics: Vec<String> = text("topic").into_iter().collect();
    topics.extend(listed.filter_map(Value::as_str).map(str::to_owned));
    let topics = match topics.as_slice() {
        [] => "all topics".to_owned(),
        [_] | [_, _] | [_, _, _] => topics.join(", "),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    };
    let archive = job.archive.as_deref().unwrap_or("an archive");
    let cluster = &job.cluster;
    match job.kind {
        JobKind::Backup => format!("Backup of {topics} of {cluster} into {archive}"),
        JobKind::Restore => match text("as") {
            Some(name) => format!("Restore of {topics} from {archive} to {cluster} as {name}"),
            None => format!("Restore of {topics} from {archive} to {cluster}"),
        },
        JobKind::Verify => match text("level") {
            Some(level) => format!("Verification of {archive}, {level}"),
            None => format!("Verification of {archive}"),
        },
        JobKind::Migrate => {
            let from = text("from").unwrap_or_default();
            match text("as") {
                Some(name) => format!("Migration of {topics} from {from} to {cluster} as {name}"),
                None => format!("Migration of {topics} from {from} to {cluster}"),
            }
        }
        JobKind::Drain => {
            let group = text("group").unwrap_or_default();
            match text("into") {
                Some(into) => format!("Rest of {topics} of {cluster}, unread by group {group}, into {into}"),
                None => format!("Wait for group {group} of {cluster} on {topics}"),
            }
        }
    }
}

/// What the last verification of an archive says of it as it is now.
fn verification(entry: &ArchiveEntry) -> VerifiedTag {
    let tag = match &entry.verified {
        None => Tag::new("never", "–", "warn"),
        Some(verified) if !verified.sound => Tag::new("NOT SOUND", "✗", "bad"),
        Some(_) if entry.state == ArchiveState::Unreadable => Tag::new("sound when it could be read", "◐", "warn"),
        Some(verified) if verified.manifest < entry.manifest => Tag::new("sound before the last backup", "◐", "warn"),
        Some(_) => Tag::new("sound", "✓", "good"),
    };
    let verified = entry.verified.as_ref();
    VerifiedTag {
        tag,
        level: verified.map(|verified| format!("{:?}", verified.level).to_lowercase()).unwrap_or_default(),
        at: verified.and_then(|verified| ShownTime::of(verified.at)),
    }
}

fn archive(entry: &ArchiveEntry, shown: &Shown<'_>) -> ArchiveRow {
    let state = match entry.state {
        ArchiveState::Empty => Tag::new("empty", "○", "none"),
        ArchiveState::Running => Tag::new("being written", "▶", "plain"),
        ArchiveState::Complete => Tag::new("complete", "✓", "good"),
        ArchiveState::Partial => Tag::new("partial", "◐", "warn"),
        ArchiveState::Unreadable => Tag::new("unreadable", "✗", "bad"),
    };
    let readable = !matches!(entry.state, ArchiveState::Unreadable | ArchiveState::Empty);
    let topic = |topic: &ArchiveTopic| {
        let partitions = plural(topic.partitions, "partition");
        format!("{}: {partitions}, {} records, {}", topic.name, words::count(topic.records), words::bytes(topic.bytes))
    };
    let generations = plural(entry.generations, "backup");
    let sealed = if entry.encrypted { ", encrypted" } else { "" };
    let missing = entry.missing.iter().map(|missing| format!("missing: {missing}"));
    ArchiveRow {
        name: entry.name.clone(),
        cluster: entry.cluster.as_ref().map(|cluster| format!("cluster {cluster}")),
        state,
        written: entry.written.and_then(ShownTime::of),
        age: entry.written.map(|written| words::ago(written, shown.now)).unwrap_or_default(),
        problem: entry.problem.clone(),
        verified: verification(entry),
        holds: format!("{generations}, {} records{sealed}", words::count(entry.records)),
        topics: missing.chain(entry.topics.iter().map(topic)).take(LISTED).collect(),
        topics_summary: plural(entry.topics.len(), "topic"),
        size: words::bytes(entry.bytes),
        may_verify: readable && shown.caller.has(JobKind::Verify.scopes()),
        may_restore: readable && shown.caller.has(JobKind::Restore.scopes()),
    }
}

fn schedule(status: &ScheduleStatus, now: i64) -> ScheduleRow {
    let (backup, record) = (&status.backup, &status.record);
    let state = match (&record.run, &record.last) {
        (Some(run), _) if run.job.is_some() => Tag::new("at work", "▶", "plain"),
        (Some(_), _) => Tag::new("waits for the service", "○", "warn"),
        (None, Some(last)) if last.problem.is_some() => Tag::new("failed", "✗", "bad"),
        (None, Some(_)) => Tag::new("succeeded", "✓", "good"),
        (None, None) => Tag::new("none yet", "–", "none"),
    };
    let latest = record.run.as_ref().map(|run| run.due).or(record.last.as_ref().map(|last| last.due));
    let refused = record.run.as_ref().and_then(|run| run.refused.clone());
    let next = status.next.map(jiff::Timestamp::as_millisecond);
    ScheduleRow {
        name: backup.name.clone(),
        what: format!("{} of {} into {}", backup.topics.join(", "), backup.cluster, backup.archive()),
        timetable: status.timetable.clone(),
        next: next.and_then(ShownTime::of),
        until: next.map(|next| words::until(next, now)).unwrap_or_default(),
        state,
        latest: latest.and_then(ShownTime::of),
        problem: refused.or_else(|| record.last.as_ref().and_then(|last| last.problem.clone())),
        retention: record
            .last
            .as_ref()
            .and_then(|last| last.retention.as_ref())
            .map(|why| format!("nothing was pruned: {why}")),
        success: record.last_success.and_then(ShownTime::of),
        success_age: record.last_success.map(|at| words::ago(at, now)).unwrap_or_default(),
        missed: words::count(record.missed),
        gaps: record.gaps.iter().map(told).collect(),
    }
}

/// That a job has come to another state, as it is read out.
pub fn said(job: &Job) -> String {
    format!("{}: {}.", title(job), job.state)
}
