use super::Declared;
use super::*;
use crate::record::{CheckOutcome, LogExcerpt, Outcome, Quantity, Record, Unit};
use crate::scenario::{AskedBounds, BaselineReport, RecoveryPattern, ReportClause};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const RECORD: &str = include_str!("../../tests/goldens/record.json");

fn record() -> Record {
    serde_json::from_str(RECORD).unwrap()
}

fn stored(record: Record) -> StoredResult {
    StoredResult { folder: PathBuf::from("results").join(&record.run.id), record }
}

/// Compares with a checked-in file; `BLESS=1` rewrites it.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name} differs; BLESS=1 rewrites it");
}

#[test]
fn markdown_junit_and_the_chart_are_as_they_were() {
    let reporter = Reporter::new(None).unwrap();
    let (text, chart) = reporter.run_markdown(&stored(record()), "chart.svg").unwrap();
    golden("report.md", &text);
    golden("chart.svg", std::str::from_utf8(&chart.unwrap().bytes).unwrap());
    golden("junit.xml", &reporter.junit(&many()).unwrap());
    golden("suite.md", &reporter.suite_markdown(&many(), "Kafka scenarios", Path::new("results")).unwrap());
}

/// A run that passed, one that failed, one that broke, one that was cut off, and a scenario that was not run.
fn many() -> Collection {
    let with = |id: &str, change: fn(&mut Record)| {
        let mut record = record();
        record.run.id = id.to_owned();
        change(&mut record);
        if record.verdict.is_some() {
            record.verdict = Some(crate::judge::verdict(&record));
        }
        stored(record)
    };
    let runs = vec![
        with("pass", |_| {}),
        with("fail", |record| record.checks[0].outcome = CheckOutcome::Fail),
        with("unclean", |record| record.leftovers.push("topic orders could not be deleted".to_owned())),
        with("cut", |record| record.verdict = None),
    ];
    let not_run = NotRun {
        label: "scenarios/disk-full.yaml".to_owned(),
        file: "scenarios/disk-full.yaml".to_owned(),
        why: "it needs a volume of limited size".to_owned(),
        cut_off: false,
        environment: None,
    };
    Collection { runs, not_run: vec![not_run], ..Collection::default() }
}

#[test]
fn junit_tells_failures_from_errors() {
    let xml = Reporter::new(None).unwrap().junit(&many()).unwrap();
    assert!(xml.contains("tests=\"5\" skipped=\"1\" failures=\"1\" errors=\"2\""), "{xml}");
    assert_eq!(many().runs[1].record.verdict.as_ref().unwrap().outcome, Outcome::Fail);
}

#[test]
fn a_suite_of_which_something_is_missing_is_no_pass() {
    let reporter = Reporter::new(None).unwrap();
    let passed = || vec![stored(record())];
    let html = |found: &Collection| reporter.suite_html(found, "Suite", Path::new("results")).unwrap();
    let not_run = |cut_off| NotRun {
        label: "b".to_owned(),
        file: "b.yaml".to_owned(),
        why: "why".to_owned(),
        cut_off,
        environment: cut_off.then(|| "docker".to_owned()),
    };
    let damaged = Unusable { path: PathBuf::from("results/2/result.json"), why: "EOF at line 1".to_owned() };
    let other = Unusable { path: PathBuf::from("results/notes.json"), why: super::stored::NO_RESULT.to_owned() };

    let left_out =
        Collection { runs: passed(), not_run: vec![not_run(false)], unusable: vec![other], ..Collection::default() };
    assert!(html(&left_out).contains("<title>PASS"), "what needs more than there is was not asked for");
    assert!(!reporter.junit(&left_out).unwrap().contains("<error"));
    let cut = Collection { runs: passed(), not_run: vec![not_run(true)], ..Collection::default() };
    let unread = Collection { runs: passed(), unusable: vec![damaged], ..Collection::default() };
    for found in [cut, unread] {
        assert!(html(&found).contains("<title>INCOMPLETE"), "{:?}", found.unusable);
        let command = "kscen run --env docker b.yaml";
        assert_eq!(html(&found).contains(command), !found.not_run.is_empty(), "it would run there");
        let junit = reporter.junit(&found).unwrap();
        assert!(junit.contains("tests=\"2\"") && junit.contains("errors=\"1\""), "{junit}");
    }
}

#[test]
fn the_page_of_a_suite_says_of_which_commits_its_scenarios_are() {
    let reporter = Reporter::new(None).unwrap();
    let of = |commit: Option<&str>| {
        let mut record = record();
        record.run.commit = commit.map(str::to_owned);
        stored(record)
    };
    let all =
        [Some("0123456789abcdef0123456789abcdef01234567"), None, Some("fedcba9876543210fedcba9876543210fedcba98")];
    let found = Collection { runs: all.map(of).to_vec(), ..Collection::default() };
    let html = reporter.suite_html(&found, "Suite", Path::new("results")).unwrap();
    assert!(html.contains("commit 0123456789ab<") && html.contains("commit fedcba987654<"), "{html}");
    let run = reporter.run_html(&found.runs[0].record).unwrap();
    assert!(run.contains("0123456789abcdef0123456789abcdef01234567"), "a run has all of it");
}

/// Every text that comes from outside says something hostile.
fn nasty() -> Record {
    const EVIL: &str = "</script></title><script>alert(1)</script><img src=x onerror=alert(2)>\" onload=\"x\" | [a](javascript:x) \
        ```\n\n# heading\n<!-- \u{1b}[2J {{evil}} &#x3c; ]]> \u{0} `";
    let mut record = record();
    record.run.name = EVIL.to_owned();
    record.run.description = Some(EVIL.to_owned());
    record.run.file = EVIL.to_owned();
    record.run.tags = vec!["delivery".to_owned(), EVIL.to_owned()];
    record.run.matrix.insert(EVIL.to_owned(), EVIL.into());
    record.run.commit = Some(EVIL.to_owned());
    record.machine.cpu = EVIL.to_owned();
    record.services[0].name = format!("kafka{EVIL}");
    record.faults[0].target = EVIL.to_owned();
    record.faults[0].proof = EVIL.to_owned();
    record.logs.push(LogExcerpt {
        source: EVIL.to_owned(),
        reason: EVIL.to_owned(),
        lines: record.logs[0].lines.clone(),
    });
    for log in &mut record.logs {
        log.lines[0].text = EVIL.to_owned();
    }
    for step in &mut record.steps {
        step.id = format!("{}{EVIL}", step.id);
        step.title = EVIL.to_owned();
    }
    record.checks[0].outcome = CheckOutcome::Fail;
    record.checks[0].samples = vec![EVIL.to_owned()];
    record.marks.push(crate::record::Mark { at: 1.0, kind: EVIL.to_owned(), text: EVIL.to_owned() });
    let config = record.broker_config.values_mut().next().unwrap();
    config.insert(EVIL.to_owned(), EVIL.to_owned());
    record.verdict = Some(crate::judge::verdict(&record));
    record
}

#[test]
fn hostile_texts_break_out_of_nothing() {
    let reporter = Reporter::new(None).unwrap();
    let run = stored(nasty());
    let found = Collection {
        runs: vec![run.clone()],
        not_run: vec![NotRun {
            label: nasty().run.name,
            file: nasty().run.name,
            why: nasty().run.name,
            cut_off: false,
            environment: Some(nasty().run.name),
        }],
        unusable: vec![Unusable { path: nasty().run.name.into(), why: nasty().run.name }],
        ..Collection::default()
    };
    let html = reporter.run_html(&run.record).unwrap();
    let suite = reporter.suite_html(&found, "Suite", Path::new("results")).unwrap();
    assert_eq!(html.matches("<script").count(), 3, "only the page's own scripts");
    assert_eq!(html.matches("</script>").count(), 3);
    assert_eq!(suite.matches("<script").count(), 1, "only the page's own script");
    for page in [&html, &suite] {
        assert!(!page.contains("<img"), "no element from outside");
        // In the page's data the quote is escaped as JSON wants it.
        assert!(!page.replace("\\\"", "").contains("\" onload"), "no attribute from outside");
    }
    let (markdown, chart) = reporter.run_markdown(&run, "chart.svg").unwrap();
    let chart = String::from_utf8(chart.unwrap().bytes).unwrap();
    assert!(!chart.contains("<script") && !chart.contains("<img") && !chart.contains('\u{1b}'));
    let suite = reporter.suite_markdown(&found, "Suite", Path::new("results")).unwrap();
    let mut texts = vec![markdown, suite, reporter.summary(&found, "Suite", Path::new("")).unwrap()];
    for file in baseline(&found, &[], &reporter).unwrap() {
        texts.push(String::from_utf8(file.bytes).unwrap());
    }
    for text in texts.iter().filter(|text| text.starts_with('#')) {
        let outside: String = outside_of_code(text);
        assert!(!outside.contains("<script") && !outside.contains("<img") && !outside.contains("<!--"), "{outside}");
        assert!(!outside.replace("\\]", "").contains("](javascript"), "no link from outside");
        assert!(!outside.lines().any(|line| line.starts_with("# heading")), "no heading from outside");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{0}'));
    }
    assert!(reporter.junit(&found).unwrap().matches("<testcase").count() == 3);
}

/// A Markdown text without its blocks of code.
fn outside_of_code(text: &str) -> String {
    let mut fence: Option<String> = None;
    let mut kept = String::new();
    for line in text.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            None if ticks.len() >= 3 => fence = Some(ticks),
            Some(open) if line == *open => fence = None,
            Some(_) => {}
            None => {
                kept.push_str(line);
                kept.push('\n');
            }
        }
    }
    assert_eq!(fence, None, "every block of code is closed");
    kept
}

#[test]
fn what_did_not_run_says_so() {
    let reporter = Reporter::new(None).unwrap();
    let asked = AskedBounds { min: Some("70%".into()), max: None };
    let all = [BaselineReport::Performance, BaselineReport::Delivery, BaselineReport::Backup];
    let declared = all.map(|baseline| Declared {
        stem: "outage".to_owned(),
        file: "scenarios/outage.yaml".to_owned(),
        clause: ReportClause {
            baseline,
            title: "Outage".to_owned(),
            criterion: "none lost".to_owned(),
            behaviour: "the broker is away".to_owned(),
            recovery: None,
            asked: BTreeMap::from([("kept.saved".to_owned(), asked.clone())]),
        },
    });
    let files = baseline(&Collection::default(), &declared, &reporter).unwrap();
    assert_eq!(files.len(), 3);
    let backup = String::from_utf8(files[2].bytes.clone()).unwrap();
    assert!(backup.contains("| Outage | kept saved | ≥ 70% | – | ○ not run |"), "{backup}");
    for file in files {
        let text = String::from_utf8(file.bytes).unwrap();
        assert!(text.contains("**Not run.**") && text.contains("kscen run scenarios/"));
        assert!(!text.contains("PASS"), "nothing is claimed");
    }
}

/// What is asked for and not reached is named, with what was measured; what is reached is counted.
#[test]
fn what_is_asked_for_and_not_reached_is_named() {
    let reporter = Reporter::new(None).unwrap();
    let mut own = record();
    let step = &mut own.steps[0];
    step.id = "kept".to_owned();
    step.status = crate::record::StepStatus::Done;
    (step.produced, step.consumed, step.written) = (None, None, None);
    let figures = [("records", 1000.0, Unit::Count), ("data_rate", 2e8, Unit::Bytes), ("saved", 0.66, Unit::Share)];
    step.metrics = figures.map(|(name, value, unit)| (name.to_owned(), Quantity::new(value, unit))).into();
    let least = |bound: &str| AskedBounds { min: Some(bound.into()), max: None };
    own.run.report = Some(ReportClause {
        baseline: BaselineReport::Backup,
        title: "Kept".to_owned(),
        criterion: "all of it".to_owned(),
        behaviour: "a topic is kept".to_owned(),
        recovery: None,
        asked: BTreeMap::from([
            ("kept.data_rate".to_owned(), least("100MB")),
            ("kept.saved".to_owned(), least("70%")),
            ("kept.cpu".to_owned(), least("1%")),
        ]),
    });
    let found = Collection { runs: vec![stored(own)], ..Collection::default() };
    let files = baseline(&found, &[], &reporter).unwrap();
    let file = files.into_iter().find(|file| file.path.ends_with("backup.md")).expect("the report");
    let text = String::from_utf8(file.bytes).unwrap();
    let lines = [
        "1 of 3 figures",
        "| kept data rate | ≥ 100 MB/s | 200 MB/s | ✓ reached |",
        "| kept saved | ≥ 70% | 66% | ✗ not reached |",
        "| ≥ 1% | nothing",
        "kept saved was asked to be ≥ 70%, and is 66%.",
    ];
    for line in lines {
        assert!(text.contains(line), "no `{line}` in {text}");
    }
}

/// Which runs measure a pattern is declared: by the run's own scenario, or, for a result of a version before, by the file of that name.
#[test]
fn a_pattern_of_recovery_is_measured_by_what_declares_it() {
    let reporter = Reporter::new(None).unwrap();
    let clause = ReportClause {
        baseline: BaselineReport::Delivery,
        title: "Restart".to_owned(),
        criterion: "none lost".to_owned(),
        behaviour: "the broker restarts".to_owned(),
        recovery: Some(RecoveryPattern::BrokerRestart),
        asked: BTreeMap::new(),
    };
    let text = |record: Record, declared: &[Declared]| {
        let found = Collection { runs: vec![stored(record)], ..Collection::default() };
        let files = baseline(&found, declared, &reporter).unwrap();
        let file = files.into_iter().find(|file| file.path.ends_with("delivery-guarantees.md")).expect("the report");
        String::from_utf8(file.bytes).unwrap()
    };
    let counts = |text: &str| text.matches("not measured: ").count();
    assert_eq!(counts(&text(record(), &[])), 3);
    let file = "scenarios/broker-restart.yaml".to_owned();
    let declared = Declared { stem: "broker-restart".to_owned(), file, clause: clause.clone() };
    assert_eq!(counts(&text(record(), &[declared])), 2);
    let mut own = record();
    own.run.file = "elsewhere/renamed.yaml".to_owned();
    own.run.report = Some(clause);
    assert_eq!(counts(&text(own, &[])), 2);
}

/// The golden is a result of the format before this one: whatever renders or compares results reads it.
#[test]
fn a_result_of_the_format_before_is_read_rendered_and_compared() {
    assert_eq!(record().format, crate::record::run_record::FORMAT - 1);
    let folder = tempfile::tempdir().unwrap();
    for (name, format) in [("before", record().format), ("now", crate::record::run_record::FORMAT)] {
        let mut value: serde_json::Value = serde_json::from_str(RECORD).unwrap();
        value["format"] = format.into();
        std::fs::create_dir_all(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("result.json"), value.to_string()).unwrap();
    }
    let found = load(&[folder.path().join("before")]);
    assert!(found.unusable.is_empty(), "{:?}", found.unusable);
    let html = Reporter::new(None).unwrap().run_html(&found.runs[0].record).unwrap();
    assert!(html.contains(&record().run.name), "{html}");
    let other = load(&[folder.path().join("now")]);
    assert_eq!(other.unusable, []);
    let comparison = crate::compare::compare(&found.runs, &other.runs);
    assert!(comparison.rows.len() > 10 && comparison.alone.is_empty(), "{comparison:?}");
    assert!(comparison.rows.iter().all(|row| row.decision == crate::compare::Decision::Same), "{comparison:?}");
}

#[test]
fn every_page_works_alone() {
    let html = Reporter::new(None).unwrap().run_html(&record()).unwrap();
    for outside in ["src=\"http", "href=\"http", "@import", "url(http", "fetch("] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(html.contains("class=\"fault\""), "the fault is drawn");
}
