//! The page with everything that it can show, as it was; and with hostile texts in every place.

use super::document::{self, Notice, PageView};
use super::forms::{self, Choices, SentForm, Wrong};
use super::templates::{self, SCRIPT, STYLE};
use super::view::{Shown, parts};
use crate::project::ScheduledBackup;
use crate::serve::archives::ArchiveEntry;
use crate::serve::jobs::{Job, JobKind};
use crate::serve::schedule::{MissedRuns, ScheduleRecord, ScheduleStatus, ScheduledEnd, ScheduledRun};
use crate::serve::tokens::Caller;
use serde_json::{Value, json};
use std::path::Path;

const NOON: i64 = 1_796_040_000_000;
const MINUTE: i64 = 60_000;
const EVIL: &str =
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\" onload=\"x' {{evil}} &#x3c; javascript:x";

fn jobs() -> Value {
    let backup = json!({ "kind": "backup", "topics": ["orders", "billing.*"], "archive": "nightly", "verify": "full" });
    json!([
        { "id": "j-0008", "kind": "backup", "state": "queued", "cluster": "prod", "archive": "weekly", "request": backup,
          "by": "ops", "submitted": NOON - 12_000, "attempts": 0, "progress": {} },
        { "id": "j-0007", "kind": "backup", "state": "running", "cluster": "prod", "archive": "nightly", "request": backup,
          "schedule": "nightly", "submitted": NOON - MINUTE, "started": NOON - 42_000, "attempts": 2,
          "progress": { "records": 612_345, "bytes": 71_303_168, "total": 1_000_000 } },
        { "id": "j-0006", "kind": "restore", "state": "verifying", "cluster": "dr", "archive": "nightly",
          "request": { "kind": "restore", "archive": "nightly", "topic": "orders", "as": "orders-again", "verify": true },
          "by": "ops", "submitted": NOON - 5 * MINUTE, "started": NOON - 5 * MINUTE, "attempts": 1,
          "progress": { "records": 20_000, "bytes": 2_097_152 } },
        { "id": "j-0005", "kind": "verify", "state": "failed", "cluster": "prod", "archive": "old",
          "request": { "kind": "verify", "archive": "old", "level": "deep" },
          "submitted": NOON - 60 * MINUTE, "started": NOON - 60 * MINUTE, "ended": NOON - 59 * MINUTE, "attempts": 1,
          "progress": { "records": 5, "bytes": 10 }, "messages": ["topics/orders@x/0/0.log at byte 4096: the checksum is wrong"],
          "problem": { "reason": "1 file is damaged", "remedy": "restore from another archive" } },
        { "id": "j-0004", "kind": "backup", "state": "succeeded", "cluster": "prod", "archive": "nightly", "request": backup,
          "schedule": "nightly", "submitted": NOON - 26 * 60 * MINUTE, "started": NOON - 26 * 60 * MINUTE,
          "ended": NOON - 26 * 60 * MINUTE + 8_000, "attempts": 1, "progress": { "records": 1_000_000, "bytes": 99_000_000, "total": 1_000_000 } },
        { "id": "j-0003", "kind": "backup", "state": "cancelled", "cluster": "prod", "request":
          { "kind": "backup", "topics": ["a", "b", "c", "d"] }, "submitted": NOON - 30 * 60 * MINUTE, "started": NOON - 30 * 60 * MINUTE,
          "ended": NOON - 30 * 60 * MINUTE, "attempts": 1, "progress": {} },
    ])
}

fn archives() -> Value {
    let verified = |sound: bool, manifest: u32| json!({ "archive": "id", "level": "full", "sound": sound, "at": NOON - 25 * 60 * MINUTE, "manifest": manifest, "job": "j-0005" });
    let entry = |name: &str, state: &str| {
        json!({ "name": name, "state": state, "generations": 3, "manifest": 7, "written": NOON - 26 * 60 * MINUTE, "cluster": "Duh7uHfB9EiiF1NAu0DbSA",
            "topics": [{ "name": "orders", "partitions": 12, "records": 900_000, "bytes": 88_000_000 }, { "name": "billing.eu", "partitions": 1, "records": 100_000, "bytes": 11_000_000 }],
            "records": 1_000_000, "bytes": 99_000_000, "encrypted": false })
    };
    let mut all = [
        entry("nightly", "complete"),
        entry("old", "complete"),
        entry("weekly", "partial"),
        entry("yearly", "complete"),
    ];
    all[0]["verified"] = verified(true, 7);
    all[1]["verified"] = verified(false, 7);
    (all[2]["missing"], all[2]["encrypted"]) = (json!(["orders/3: no leader"]), json!(true));
    all[3]["verified"] = verified(true, 6);
    let broken = json!({ "name": "broken", "state": "unreadable", "problem": "archive.json is damaged: it names no version of the format", "generations": 0,
        "manifest": 0, "topics": [], "records": 0, "bytes": 0, "encrypted": false });
    json!([broken, all[0], all[1], all[2], all[3]])
}

fn schedules() -> Vec<ScheduleStatus> {
    let backup = |name: &str| {
        let value = json!({ "name": name, "cluster": "prod", "topics": ["orders", "billing.*"], "cron": "0 3 * * *", "time_zone": "Europe/Berlin" });
        serde_json::from_value::<ScheduledBackup>(value).expect("a schedule")
    };
    let status = |name: &str, record| ScheduleStatus {
        backup: backup(name),
        timetable: "0 3 * * * Europe/Berlin".to_owned(),
        next: jiff::Timestamp::from_millisecond(NOON + 14 * 60 * MINUTE).ok(),
        record,
    };
    let gap = MissedRuns {
        first: NOON - 50 * 60 * MINUTE,
        last: NOON - 26 * 60 * MINUTE,
        times: 2,
        why: "the service was not running".to_owned(),
    };
    let run = Some(ScheduledRun { due: NOON - MINUTE, job: Some("j-0007".to_owned()), refused: None });
    let last_success = Some(NOON - 74 * 60 * MINUTE);
    let busy =
        ScheduleRecord { run, last_success, succeeded: 12, missed: 2, gaps: vec![gap], ..ScheduleRecord::default() };
    let end = ScheduledEnd {
        due: NOON - 9 * 60 * MINUTE,
        job: "j-0002".to_owned(),
        ended: NOON - 9 * 60 * MINUTE,
        problem: Some("no broker of prod answers".to_owned()),
        retention: Some("another writer has the archive".to_owned()),
    };
    let failed = ScheduleRecord { last: Some(end), failed: 1, ..ScheduleRecord::default() };
    vec![status("nightly", busy), status("weekly", failed), status("new", ScheduleRecord::default())]
}

fn decoded<T: serde::de::DeserializeOwned>(value: Value) -> Vec<T> {
    serde_json::from_value(value).expect("as the API shows it")
}

fn page(jobs: Value, archives: Value, schedules: &[ScheduleStatus], words: &str) -> String {
    let (jobs, archives) = (decoded::<Job>(jobs), decoded::<ArchiveEntry>(archives));
    let caller = Caller { name: Some(words.to_owned()), ..Caller::anyone() };
    let shown = Shown {
        jobs: &jobs,
        waiting: 1,
        running: 2,
        archives: Ok(&archives),
        schedules,
        troubles: &[words.to_owned()],
        caller: &caller,
        now: NOON,
    };
    let render =
        |(name, view): (&'static str, Value)| (name, templates::render(name, &view).expect("it can be rendered"));
    let names = [words.to_owned(), "prod".to_owned()];
    let choices = Choices { clusters: &names, archives: &names };
    let sent = SentForm::default().with("topics", words).with("max_messages", words).with("cluster", "gone");
    let wrong = [("max_messages", "Write a whole number above 0, in digits."), ("cluster", words)];
    let wrong = wrong.map(|(field, text)| Wrong { field: Some(field), text: text.to_owned() });
    let view = PageView {
        parts: parts(&shown).into_iter().map(render).collect(),
        notice: Some(Notice { tone: "good", text: words.to_owned(), link: Some(words.to_owned()) }),
        first: true,
        older: Some("j-0003".to_owned()),
        forms: vec![
            forms::view(JobKind::Backup, &sent, &wrong, choices, None),
            forms::view(JobKind::Restore, &SentForm::default().with("archive", "prod"), &[], choices, None),
            forms::view(JobKind::Verify, &SentForm::default(), &[], choices, Some(words.to_owned())),
        ],
    };
    document::page(view, "Backups · kscen", Some(words), NOON).expect("it can be rendered")
}

#[test]
fn the_page_is_as_it_was() {
    let text = page(jobs(), archives(), &schedules(), "ops").replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/service.html");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).expect("it can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, kept, "service.html differs; BLESS=1 rewrites it");
}

/// Writes a text into every place that holds one and may hold any.
fn poisoned(value: &mut Value, fixed: &[&str]) {
    match value {
        Value::String(text) => *text = EVIL.to_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| poisoned(item, fixed)),
        Value::Object(object) => {
            let open = object.iter_mut().filter(|(key, _)| !fixed.contains(&key.as_str()));
            open.for_each(|(_, item)| poisoned(item, fixed));
        }
        _ => {}
    }
}

#[test]
fn whatever_is_shown_stays_text() {
    let (mut jobs, mut archives) = (jobs(), archives());
    poisoned(&mut jobs, &["kind", "state", "verify", "level"]);
    poisoned(&mut archives, &["state", "level"]);
    let mut schedules = schedules();
    for status in &mut schedules {
        (status.backup.name, status.backup.cluster, status.timetable) =
            (EVIL.to_owned(), EVIL.to_owned(), EVIL.to_owned());
        status.backup.topics = vec![EVIL.to_owned()];
        status.record.gaps.iter_mut().for_each(|gap| gap.why = EVIL.to_owned());
        if let Some(last) = &mut status.record.last {
            (last.problem, last.retention) = (Some(EVIL.to_owned()), Some(EVIL.to_owned()));
        }
    }
    let plain = page(self::jobs(), self::archives(), &self::schedules(), "ops");
    let shown = page(jobs, archives, &schedules, EVIL);
    let documents = [
        shown.clone(),
        document::sign_in(Some(EVIL)).expect("rendered"),
        document::refused(Some(EVIL), EVIL, EVIL).expect("rendered"),
    ];
    for document in &documents {
        assert!(document.contains("&lt;/script&gt;"), "the texts are there");
        for sign in ["<script>", "<img", " onload=\"", " onerror=alert(2)>"] {
            assert!(!document.contains(sign), "{sign} in\n{document}");
        }
    }
    let elements = |text: &str| text.matches('<').count();
    assert!(elements(&shown).abs_diff(elements(&plain)) < 40, "texts make no elements");
}

/// The policy that is sent with each document allows nothing inline and nothing from elsewhere, and the page needs none of it.
#[test]
fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
    let page = page(jobs(), archives(), &schedules(), "ops");
    for sign in ["<style", " style=", "javascript:", "http:", "https:", "//"] {
        assert!(!page.contains(sign), "{sign} in the page");
    }
    for attribute in page.split_whitespace().filter(|word| word.starts_with("on")) {
        assert!(!attribute.contains("=\""), "{attribute} is code in the page");
    }
    for (text, signs) in [(STYLE, ["url(", "@import"]), (SCRIPT, ["fetch(", "eval("])] {
        assert!(signs.iter().all(|sign| !text.contains(sign)), "an address, or code from a text");
    }
}

/// What a person who cannot see the page, or uses no mouse, needs of it.
#[test]
fn fields_have_labels_and_errors_are_tied_to_them() {
    let page = page(jobs(), archives(), &schedules(), "ops");
    let values = |name: &str| {
        let mark = format!(" {name}=\"");
        page.split(&mark).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect::<Vec<_>>()
    };
    let ids = values("id");
    let unique: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "an id names one element");
    for name in ["for", "aria-describedby", "aria-labelledby"] {
        for id in values(name).iter().flat_map(|ids| ids.split(' ')) {
            assert!(ids.iter().any(|known| known == id), "{name}={id} names no element");
        }
    }
    let wrong: Vec<&str> = page.lines().filter(|line| line.contains("aria-invalid=\"true\"")).collect();
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong.iter().all(|line| line.contains("-error")), "{wrong:?}");
    let inputs = page.lines().filter(|line| line.starts_with("<input") || line.starts_with("<select"));
    for input in inputs {
        let id = input.split(" id=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("it has an id");
        assert!(values("for").iter().any(|label| label == id), "{id} has no label");
    }
}
