//! Results as somebody else would write them: of the right types, with numbers of all sizes.

use super::{Collection, Reporter, RunReports, StoredResult, load};
use crate::accounting::archive::{FILE, StoredAccounts};
use crate::accounting::changes::{
    ChangeBasis, ChangeSettlement, Figure, FigureCheck, NotStored, Reconciliation, Tally,
};
use crate::accounting::{Class, Identity, ReaderAccount, RunIdentity, SenderAccount, Settlement, Sighting};
use crate::compare::compare;
use crate::judge::stored::again;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// The pointers of all numbers, and of all texts.
fn places(value: &Value, at: String, numbers: &mut Vec<String>, texts: &mut Vec<String>) {
    match value {
        Value::Number(_) => numbers.push(at),
        Value::String(_) => texts.push(at),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, format!("{at}/{index}"), numbers, texts));
        }
        Value::Object(object) => object.iter().for_each(|(key, item)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            places(item, format!("{at}/{key}"), numbers, texts);
        }),
        Value::Null | Value::Bool(_) => {}
    }
}

fn number(random: &mut StdRng, former: &Value) -> Value {
    let whole = [json!(0), json!(1), json!(u32::MAX), json!(1_u64 << 53), json!(u64::MAX), json!(i64::MIN), json!(-1)];
    let real = [
        json!(-1e308),
        json!(1e308),
        json!(5e-324),
        json!(1e12),
        json!(-0.0),
        json!(0.1),
        json!(1e-9),
        json!(31_000_000.5),
    ];
    let all: &[Value] = if former.is_f64() { &real } else { &whole };
    match random.random_range(0..4) {
        0 => json!(random.random_range(0..40_000_000_u64)),
        _ => all.choose(random).cloned().unwrap_or_default(),
    }
}

/// Accounts of a delivery that lost some messages.
fn accounts(run: &str) -> Value {
    let identity = RunIdentity::new(7);
    let ticket = identity.register("t").expect("the first");
    ticket.raise(100);
    let mut sender = SenderAccount::new(ticket.producer, "t");
    (sender.step, sender.sent, sender.complete) = ("load".to_owned(), 100, true);
    sender.acknowledged(0..100, 0, 0);
    let mut reader = ReaderAccount::new(identity, "t", None, false);
    for sequence in (0..100).filter(|sequence| sequence % 10 != 3) {
        let identity = Identity { nonce: 7, producer: 0, sequence, due_us: 0, body_crc: 0, around: 0, warmup: false };
        let offset = i64::try_from(sequence).expect("small");
        reader.record(&Sighting {
            partition: 0,
            offset,
            at_us: 0,
            life: 0,
            identity: Ok((identity, true)),
            altered: false,
        });
    }
    reader.drain_to(&BTreeMap::from([(0, 100)]));
    let settlement = Settlement { senders: vec![sender], readers: vec![reader], ..Settlement::default() };
    let archive = StoredAccounts {
        run: run.to_owned(),
        kscen: "0".to_owned(),
        settlements: vec![settlement],
        changes: vec![changes()],
    };
    serde_json::to_value(archive).expect("plain data")
}

/// Sums of a delivery of database changes, with checks that the result has.
fn changes() -> ChangeSettlement {
    let mut sums = Reconciliation { lost: 3, unread: 1, snapshot_rows: 2, ..Reconciliation::default() };
    (sums.sheet.committed, sums.sheet.once, sums.sheet.lost, sums.sheet.owed, sums.sheet.read) = (10, 7, 3, 7, 7);
    let check = |figure| FigureCheck { subject: "delivery.lost".to_owned(), at: Some((41, 43)), figure };
    ChangeSettlement {
        step: "expect-39".to_owned(),
        from: vec!["rows".to_owned()],
        to: vec!["reader".to_owned()],
        missing: None,
        connectors: None,
        basis: ChangeBasis::Sums { because: NotStored::TooMany, sums: Box::new(sums) },
        checks: vec![check(Figure::Class(Class::Lost)), check(Figure::Tally(Tally::Inserts))],
    }
}

/// Everything that is made of a stored result.
fn render(folder: &Path, before: &[StoredResult]) -> bool {
    let found: Collection = load(&[folder.to_owned()]);
    let reporter = Reporter::new(None).expect("embedded templates");
    let Some(stored) = found.runs.first() else {
        assert!(found.unusable[0].why.len() < 2_000, "{:?}", found.unusable);
        return false;
    };
    for file in reporter.run(&stored.record, RunReports { html: true, markdown: true }).expect("it is rendered") {
        assert!(file.bytes.len() < 20_000_000, "{} has {} bytes", file.path.display(), file.bytes.len());
    }
    reporter.junit(&found).expect("it is rendered");
    compare(before, &found.runs);
    again(&stored.record, folder).to_string();
    true
}

/// `KSCEN_MUTANTS` says how many: a few by default.
#[test]
fn results_of_the_right_types_are_rendered_or_refused() {
    let mutants = std::env::var("KSCEN_MUTANTS").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let former: Value = serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a record");
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    places(&former, String::new(), &mut numbers, &mut texts);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("result.json");
    std::fs::write(&path, serde_json::to_vec(&former).expect("plain data")).expect("writes");
    let before = load(&[folder.path().to_owned()]).runs;
    let mut random = StdRng::seed_from_u64(20);
    let (mut rendered, mut judged, mut slowest) = (0, 0, Duration::ZERO);
    let whole = accounts(former["run"]["id"].as_str().expect("an id"));
    let mut counts = Vec::new();
    places(&whole, String::new(), &mut counts, &mut Vec::new());
    for _ in 0..mutants {
        let mut mutant = former.clone();
        for _ in 0..random.random_range(1..4) {
            if let Some(place) = numbers.choose(&mut random).and_then(|at| mutant.pointer_mut(at)) {
                *place = number(&mut random, place);
            }
        }
        if random.random_range(0..4) == 0
            && let Some(place) = texts.choose(&mut random).and_then(|at| mutant.pointer_mut(at))
        {
            *place = json!("\u{1b}[2J<script>\u{202e}".repeat(random.random_range(0..50)));
        }
        std::fs::write(&path, serde_json::to_vec(&mutant).expect("plain data")).expect("writes");
        let mut archive = whole.clone();
        for _ in 0..random.random_range(0..3) {
            if let Some(place) = counts.choose(&mut random).and_then(|at| archive.pointer_mut(at)) {
                *place = number(&mut random, place);
            }
        }
        if let Ok(archive) = serde_json::from_value::<StoredAccounts>(archive) {
            archive.write(&folder.path().join(FILE)).expect("writes");
            judged += 1;
        }
        let began = Instant::now();
        rendered += usize::from(render(folder.path(), &before));
        slowest = slowest.max(began.elapsed());
    }
    assert!(judged * 4 > mutants, "{judged} of {mutants} had accounts to judge");
    if std::env::var_os("KSCEN_MUTANTS").is_some() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned();
        println!(
            "{mutants} mutants of a result: {rendered} rendered, compared and judged, {judged} with accounts of their own, the others \
             refused; slowest {:.2} s; memory of all together: {peak}",
            slowest.as_secs_f64()
        );
    }
    assert!(
        rendered * 10 > mutants,
        "{rendered} of {mutants} were rendered: the rest were refused before they were tried"
    );
}

#[test]
fn numbers_out_of_bounds_are_refused_by_their_field() {
    let former: Value = serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a record");
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |pointer: &str, value: Value| {
        let mut mutant = former.clone();
        *mutant.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is there")) = value;
        std::fs::write(folder.path().join("result.json"), serde_json::to_vec(&mutant).expect("plain data"))
            .expect("writes");
        let found = load(&[folder.path().to_owned()]);
        found.unusable.first().unwrap_or_else(|| panic!("{pointer} is refused")).why.clone()
    };
    for (pointer, value) in [
        ("/services/0/samples/0/usage/cpu_seconds", json!(-1e308)),
        ("/faults/0/undone", json!(1e12)),
        ("/run/duration", json!(-1e300)),
    ] {
        let why = refused(pointer, value);
        assert!(why.contains(&pointer[1..].replace('/', ".")), "{why}");
    }
    let step = former["steps"].as_array().expect("steps").iter().position(|step| !step["produced"].is_null());
    let pointer = format!("/steps/{}/produced/end_us", step.expect("a load"));
    assert!(refused(&pointer, json!(1_u64 << 53)).contains("produced.end_us"));
}
