//! Scenarios that nobody wrote: valid ones, which reach the planner, and others, which are refused. `scripts/mutants` runs many.

use crate::goldens::files;
use kscen::testing::{LANGUAGE, plan, text};
use nix::sys::resource::{UsageWho, getrusage};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Mutants that one process reads.
const TOGETHER: usize = 40;

/// The shipped scenarios.
fn originals() -> Vec<Value> {
    let shipped = files("scenarios", "yaml").into_iter().filter(|file| {
        let folder = file.parent().and_then(Path::file_name).unwrap_or_default();
        folder == "scenarios"
    });
    shipped.filter_map(|file| text::read(&file).ok()).map(|located| located.value).collect()
}

/// The pointers of all values but the root.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut enter = |key: &str, item: &Value| {
        let pointer = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        places(item, &pointer, found);
        found.push(pointer);
    };
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| enter(&index.to_string(), item)),
        Value::Object(map) => map.iter().for_each(|(key, item)| enter(key, item)),
        _ => {}
    }
}

/// A quantity of the same unit.
fn another(random: &mut StdRng, text: &str) -> Option<String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
    let unit = &text[digits..];
    ["ms", "s", "m", "h", "/s", "k/s", "B", "KB", "MB", "KiB", "MiB", "%"].contains(&unit).then(|| {
        let most = if unit == "%" { 100 } else { 5_000 };
        format!("{}{unit}", random.random_range(1..=most))
    })
}

/// A step that fits anywhere.
fn step(random: &mut StdRng, depth: usize) -> Value {
    let items: Vec<Value> = (0..random.random_range(1..30)).map(|n| json!({ "n": n, "t": format!("t{n}") })).collect();
    let steps = |random: &mut StdRng| -> Vec<Value> {
        let count = random.random_range(1..4);
        (0..count).map(|_| step(random, depth + 1)).collect()
    };
    match random.random_range(0..if depth < 4 { 9 } else { 7 }) {
        0 => json!({ "wait": format!("{}ms", random.random_range(1..9_999)) }),
        1 => json!({ "run": ["echo", "${run.id}", "${item.t}", "$${x}"], "for_each": items, "name": "no ${index}" }),
        2 => json!({ "topic": format!("m{}-${{run.id}}", random.random_range(0..u32::MAX)), "if": "not failed" }),
        3 => {
            json!({ "run": { "command": ["true"], "env": { "A": "${run.seed}" }, "status": 0 }, "timeout": "5m", "on_failure": "continue" })
        }
        4 => json!({ "wait": "1s", "if": "environment in ['local', 'docker'] and (1 + 2 > 2 or failed)" }),
        5 => {
            json!({ "produce": { "topic": "m-${run.id}", "rate": format!("{}/s", random.random_range(1..100_000)), "for": "3s" } })
        }
        6 => archive_step(random),
        _ => json!({ "parallel": [steps(random), steps(random)] }),
    }
}

/// A step about archives, or one that moves replicas.
fn archive_step(random: &mut StdRng) -> Value {
    let archive = format!("m{}", random.random_range(0..5));
    let topic = format!("m{}-${{run.id}}", random.random_range(0..u32::MAX));
    let mut any = |words: &[&str]| words.choose(random).copied().unwrap_or_default().to_owned();
    let offsets = any(&["exact", "translated"]);
    let (codec, batches) = (any(&["none", "gzip:9", "zstd:19", "lz4"]), any(&["auto", "verbatim", "recompress"]));
    let (level, file, how) =
        (any(&["quick", "full", "deep"]), any(&["segment", "manifest", "label"]), any(&["flip", "truncate", "remove"]));
    let count = random.random_range(1..60_u32);
    match random.random_range(0..8) {
        0 => {
            json!({ "backup": { "topics": [topic, "m*"], "to": archive, "compression": codec, "batches": batches, "groups": "none" } })
        }
        1 => {
            json!({ "backup": { "topics": [topic], "to": archive, "groups": ["g"], "max_messages": count, "rate": "5MB", "parallel": count,
            "on_gap": "stop" }, "timeout": "1h" })
        }
        2 => {
            json!({ "restore": { "from": archive, "topic": "t", "as": topic, "offsets": offsets, "partitions": [0, count], "append": true } })
        }
        3 => {
            json!({ "restore": { "from": archive, "topic": topic, "generation": count, "isolation": "everything", "rate": "1KB" } })
        }
        4 => json!({ "verify": { "archive": archive, "level": level } }),
        5 => json!({ "corrupt": { "archive": archive, "file": file, "how": how } }),
        6 => {
            json!({ "expect": { "archive": { "name": archive, "records": { "min": count }, "sound": count % 2 == 0, "level": level } } })
        }
        _ => json!({ "parallel": [[{ "topic": { "name": topic, "partitions": count, "replication": 2 } },
            { "reassign": { "topic": topic, "partition": 0, "to": [2, 1] } }]] }),
    }
}

/// A change that a scenario survives, most times.
fn gentle(random: &mut StdRng, scenario: &mut Value) {
    let mut all = Vec::new();
    places(scenario, "", &mut all);
    let number = random.random_range(0..u32::MAX);
    match random.random_range(0..9) {
        0..=2 => {
            for at in (0..20).filter_map(|_| all.choose(random)).cloned().collect::<Vec<_>>() {
                let Some(place) = scenario.pointer_mut(&at) else { continue };
                match place {
                    Value::String(text) => *text = another(random, text).unwrap_or_else(|| text.clone()),
                    Value::Bool(_) if random.random_range(0..4) == 0 => *place = json!(random.random_range(0..2) == 0),
                    _ => {}
                }
            }
        }
        3 => {
            let chain = (1..random.random_range(2..200))
                .map(|n| (format!("m{number}_{n}"), json!(format!("${{m{number}_{}}}", n - 1))));
            let vars = scenario.as_object_mut().expect("a scenario").entry("vars").or_insert_with(|| json!({}));
            let vars = vars.as_object_mut().expect("variables");
            vars.insert(format!("m{number}_0"), json!(["a", { "b": 1 }]));
            vars.extend(chain);
        }
        4 => {
            let matrix = scenario.as_object_mut().expect("a scenario").entry("matrix").or_insert_with(|| json!({}));
            let values: Vec<u32> = (0..random.random_range(1..6)).collect();
            matrix.as_object_mut().expect("a matrix").insert(format!("m{number}"), json!(values));
        }
        _ => {
            let section = *["setup", "steps", "finally"].choose(random).expect("three");
            let steps = scenario.as_object_mut().expect("a scenario").entry(section).or_insert_with(|| json!([]));
            let steps = steps.as_array_mut().expect("steps");
            let at = random.random_range(0..=steps.len());
            steps.insert(at, step(random, 0));
        }
    }
}

/// A change that a scenario does not survive, most times.
fn harsh(random: &mut StdRng, scenario: &mut Value) {
    let mut all = Vec::new();
    places(scenario, "", &mut all);
    let Some(at) = all.choose(random).cloned() else { return };
    let other = all.choose(random).and_then(|at| scenario.pointer(at)).cloned().unwrap_or_default();
    let (parent, key) = at.rsplit_once('/').expect("a pointer");
    let renamed: String = key.chars().rev().collect();
    let Some(owner) = scenario.pointer_mut(parent) else { return };
    let hostile = [
        json!(null),
        json!(-1),
        json!(1e308),
        json!(u64::MAX),
        json!(""),
        json!([]),
        json!({}),
        json!("x".repeat(5_000)),
        json!("${"),
        json!("${nope.nope}"),
        json!("${steps.nope.acked}"),
        json!("${item}"),
        json!("\u{202e}\u{1b}[2J"),
        json!("../../archive"),
        json!({ "archive": "../x", "level": "target", "topic": "../y" }),
        json!("99999999999999999999h"),
        json!(vec!["${run.id}"; 300]),
        other,
    ];
    let value = hostile.choose(random).cloned().unwrap_or_default();
    match (owner, random.random_range(0..4)) {
        (Value::Object(map), 0) => {
            map.remove(key);
        }
        (Value::Object(map), 1) => {
            let old: Map<String, Value> = std::mem::take(map);
            *map = old.into_iter().map(|(k, v)| (if k == key { renamed.clone() } else { k }, v)).collect();
        }
        (Value::Object(map), _) => {
            map.insert(key.to_owned(), value);
        }
        (Value::Array(items), choice) => match key.parse::<usize>() {
            Ok(index) if choice == 0 => drop(items.remove(index)),
            Ok(index) => items.insert(index, value),
            Err(_) => {}
        },
        _ => {}
    }
}

/// JSON as YAML reads it.
fn written(value: &Value) -> String {
    text::harmless_json(&value.to_string()).into_owned()
}

/// What was seen of processes.
#[derive(Default)]
struct Seen {
    processes: usize,
    slowest: Duration,
}

/// Reads a folder of mutants with the program: nothing but what it says of them may happen.
fn read(folder: &Path, command: &str, names: &[String], codes: &[i32], seen: &mut Seen) {
    let began = Instant::now();
    let output = Command::new("timeout")
        .args(["300", "sh", "-c", "ulimit -v 524288; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_kscen"), command])
        .args(names)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    seen.processes += 1;
    seen.slowest = seen.slowest.max(began.elapsed());
    let said = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    if !code.is_some_and(|code| codes.contains(&code)) || said.contains("panicked at") {
        let kept = tempfile::Builder::new().prefix("mutants-").tempdir().expect("a folder").keep();
        for name in names {
            std::fs::copy(folder.join(name), kept.join(name)).expect("a copy");
        }
        let end: String = said.chars().rev().take(2_000).collect::<Vec<_>>().into_iter().rev().collect();
        panic!("`kscen {command}`: {:?}; the files are in {}\n{end}", output.status, kept.display());
    }
}

/// `KSCEN_MUTANTS` says how many of each kind: a few by default.
#[test]
fn mutants_are_planned_or_refused() {
    let asked = std::env::var("KSCEN_MUTANTS").ok().and_then(|text| text.parse::<usize>().ok());
    let wanted = asked.unwrap_or(TOGETHER);
    let originals = originals();
    assert!(originals.len() >= 10, "{} scenarios", originals.len());
    let mut random =
        StdRng::seed_from_u64(std::env::var("KSCEN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(17));
    let folder = tempfile::tempdir().expect("a scratch folder");
    std::fs::create_dir(folder.path().join("fragments")).expect("a folder");
    for fragment in files("scenarios/fragments", "yaml") {
        let name = fragment.file_name().expect("a name");
        std::fs::copy(&fragment, folder.path().join("fragments").join(name)).expect("a copy");
    }
    let options = || plan::PlanOptions { no_compare: true, ..plan::PlanOptions::default() };
    let (mut found, mut batches, mut steps) = ([0, 0], [Vec::new(), Vec::new()], 0);
    let (mut slowest, mut seen) = (Duration::ZERO, Seen::default());
    let mut number = 0;
    while found.iter().any(|found| *found < wanted) {
        let mut mutant = originals.choose(&mut random).expect("some").clone();
        let valid_wanted = found[0] < wanted && (found[1] >= wanted || random.random_range(0..2) == 0);
        for _ in 0..random.random_range(1..5) {
            gentle(&mut random, &mut mutant);
        }
        for _ in 0..if valid_wanted { 0 } else { random.random_range(1..4) } {
            harsh(&mut random, &mut mutant);
        }
        number += 1;
        let name = format!("m{number}.yaml");
        let path = folder.path().join(&name);
        std::fs::write(&path, written(&mutant)).expect("a file");
        let began = Instant::now();
        let planned = plan::plans(&path, &LANGUAGE, &options());
        slowest = slowest.max(began.elapsed());
        let kind = usize::from(planned.is_err());
        match planned {
            Ok(plans) => plans.iter().for_each(|plan| plan.walk(&mut |_| steps += 1)),
            Err(problems) => assert!(!text::render(&problems, true).is_empty()),
        }
        if found[kind] < wanted {
            found[kind] += 1;
            batches[kind].push(name);
        }
        for (kind, batch) in batches.iter_mut().enumerate() {
            if batch.len() == TOGETHER || (!batch.is_empty() && found.iter().all(|found| *found >= wanted)) {
                let names = std::mem::take(batch);
                read(folder.path(), "check", &names, if kind == 0 { &[0] } else { &[2] }, &mut seen);
                read(folder.path(), "plan", &names, &[0, 2], &mut seen);
                names.iter().for_each(|name| std::fs::remove_file(folder.path().join(name)).expect("ours"));
            }
        }
    }
    assert!(steps > wanted * 3, "{steps} steps were planned");
    if asked.is_some() {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it is known");
        println!(
            "{} valid mutants ({steps} steps planned), {} invalid; slowest of one in this process {:.2} s; {} processes of {TOGETHER} \
             files each: slowest {:.2} s, largest {} MiB",
            found[0],
            found[1],
            slowest.as_secs_f64(),
            seen.processes,
            seen.slowest.as_secs_f64(),
            usage.max_rss() / 1024
        );
    }
}
