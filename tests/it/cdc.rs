//! Change data capture on the local stack: a real PostgreSQL, Kafka Connect and Debezium.

use crate::program::skipped;
use crate::turns;
use std::path::{Path, PathBuf};
use std::process::Command;

const ENVIRONMENT: &str = "default: local\nenvironments: { local: { local: { timeouts: fast } } }\n";

/// A run of the program in a folder of its own.
pub struct Outcome {
    pub code: Option<i32>,
    pub said: String,
}

pub fn run(folder: &Path, scenarios: &[(&str, &str)]) -> Outcome {
    std::fs::write(folder.join("kscen.yaml"), ENVIRONMENT).expect("writes");
    let files: Vec<PathBuf> = scenarios
        .iter()
        .map(|(name, text)| {
            let file = folder.join(name);
            std::fs::write(&file, text).expect("writes");
            file
        })
        .collect();
    let output = Command::new(env!("CARGO_BIN_EXE_kscen"))
        .arg("run")
        .args(files)
        .current_dir(folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("NO_COLOR", "1")
        .env("KSCEN_SECRET_ALONE", "for-kscen-alone")
        .output()
        .expect("kscen starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Outcome { code: output.status.code(), said }
}

/// Judges the results in a folder again.
fn judge(folder: &Path) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_kscen"))
        .args(["judge", "results"])
        .current_dir(folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("NO_COLOR", "1")
        .output()
        .expect("kscen starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Outcome { code: output.status.code(), said }
}

/// The accounts of the only run of a folder.
fn accounts(folder: &Path) -> PathBuf {
    let results = folder.join("results");
    super::goldens::files(results.to_str().expect("a name"), "bin").pop().expect("accounts")
}

/// A shipped scenario, with the schema that it names beside it.
fn shipped(name: &str, folder: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = std::fs::read_to_string(root.join("schemas/debezium-envelope.json")).expect("the schema");
    std::fs::write(folder.join("debezium-envelope.json"), schema).expect("writes");
    let text = std::fs::read_to_string(root.join("scenarios").join(name)).expect("the scenario");
    text.replace("../schemas/", "")
}

/// What a run made is gone: connectors, slots, publications.
pub const CLEAN: &str = r#"
name: Nothing is left
steps:
  - http: { url: "${connect.url}/connectors", contains: "[]" }
  - expect:
      sql:
        - { query: SELECT slot_name FROM pg_replication_slots, rows: [] }
        - { query: SELECT pubname FROM pg_publication, rows: [] }
"#;

/// A row that holds a secret of the scenario.
const HIDDEN: &str = r#"
name: A secret in a row
guarantee: at-least-once
secrets: [ALONE]
vars: { connector: "hidden-${run.id}" }
setup:
  - sql: CREATE TABLE hidden (id integer PRIMARY KEY, word text)
  - connector: { name: "${connector}", debezium: { tables: [hidden] }, until: streaming }
steps:
  - id: reader
    background: true
    consume: { topic: "${connector}.public.hidden", decode: debezium }
  - id: rows
    sql: { statement: "INSERT INTO hidden VALUES ($1::int, $2)", params: ["{{sequence}}", "${secrets.ALONE}"], count: 2 }
  - expect:
      delivery: { from: rows, to: reader, inserts: 2 }
      within: 60s
finally:
  - sql: DROP TABLE hidden
"#;

/// A secret that is a number, as the database tells it; and one in the names of topics and groups.
const NUMBERS: &str = r#"
name: Secrets in numbers and names
secrets: [PIN, TENANT]
vars: { PIN: 918273645, TENANT: tenant-hunter }
setup:
  - topic: "orders-${TENANT}"
steps:
  - id: load
    produce: { topic: "orders-${TENANT}", count: 10 }
  - id: reader
    consume: { topic: "orders-${TENANT}", group: "g-${TENANT}", until: { drained: true } }
  - expect:
      delivery: { from: load, to: reader, lost: 0 }
      sql:
        - { query: "SELECT 918273645", value: "${PIN}" }
        - { query: "SELECT 918273645", value: { equals: "${PIN}" } }
        - { query: "SELECT 918273645::bigint, '{\"pin\": 918273645}'::jsonb", rows: [["${PIN}", { pin: "${PIN}" }]] }
"#;

/// What may not stand in any file, also where it is packed.
const TRACES: &str = r#"
import glob, sys, zlib
for file in glob.glob("results/**/*", recursive=True):
    try:
        whole = open(file, "rb").read()
    except IsADirectoryError:
        continue
    if file.endswith("accounts.bin"):
        whole = zlib.decompress(whole[24:])
    for trace in [b"918273645", b"918,273,645", b"tenant-hunter"]:
        assert trace not in whole, (file, trace)
"#;

/// Somebody else's connector, made without kscen, and how it is configured.
const THEIRS: &str = r#"
name: Theirs
setup:
  - sql: CREATE TABLE theirs (id integer PRIMARY KEY)
  - connector: { name: seed, debezium: { tables: [theirs] } }
steps:
  - run:
      - python3
      - -c
      - |
        import glob, json, os, sys
        from urllib.request import Request, urlopen
        connectors = sys.argv[1] + "/connectors"
        config = json.load(urlopen(connectors + "/seed/config"))
        own = {"slot.name": "theirs", "publication.name": "theirs", "topic.prefix": "theirs", "poll.interval.ms": "345"}
        body = json.dumps({"name": "theirs", "config": {**config, **own, "name": "theirs"}}).encode()
        urlopen(Request(connectors, body, {"Content-Type": "application/json"}))
        json.dump(json.load(urlopen(connectors + "/theirs/config")), open("former.json", "w"))
        # No process shows the password of the database to others, and none but kscen has what is for kscen alone.
        own = f"/proc/{os.getppid()}/environ"
        # A command is given the addresses of the services, the password of the database included.
        command = f"/proc/{os.getpid()}/environ"
        for file in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
            try:
                text = open(file, "rb").read()
            except OSError:
                continue
            assert file == command or config["database.password"].encode() not in text, file
            assert file == own or b"kscen-" b"alone" not in text, file
      - "${connect.url}"
  - expect:
      connector: { name: theirs, state: RUNNING }
      within: 60s
"#;

/// A run that changes it.
const CHANGES: &str = r#"
name: A change of somebody else's connector
steps:
  - connector:
      name: theirs
      debezium: { tables: [theirs], prefix: theirs }
      config: { slot.name: theirs, publication.name: theirs, poll.interval.ms: 678 }
  - http: { url: "${connect.url}/connectors/theirs/config", contains: '"poll.interval.ms":"678"' }
"#;

/// A run that would read what its slot holds.
const TAKES: &str = r#"
name: A connector on somebody else's slot
steps:
  - connector:
      name: "taker-${run.id}"
      debezium: { tables: [theirs] }
      config: { slot.name: theirs }
    expect_failure: { code: not-ours, message: this run did not make }
  - connector:
      name: "taker-${run.id}"
      debezium: { tables: [theirs] }
      config: { publication.name: theirs }
    expect_failure: { code: not-ours, message: this run did not make }
"#;

/// It is there, and as it was.
const AS_IT_WAS: &str = r#"
name: As it was
steps:
  - run:
      command:
        - python3
        - -c
        - |
          import json, sys
          from urllib.request import urlopen
          config = json.load(urlopen(sys.argv[1] + "/connectors/theirs/config"))
          former = json.load(open("former.json"))
          print("the same" if config == former and former["poll.interval.ms"] == "345" else "another")
        - "${connect.url}"
      contains: the same
  - expect:
      connector: { name: theirs, state: RUNNING }
      within: 60s
"#;

#[test]
fn what_a_run_does_to_connectors_loses_nothing_and_leaves_nothing() {
    if skipped("what_a_run_does_to_connectors_loses_nothing_and_leaves_nothing") {
        return;
    }
    // It looks at all processes of the machine, and another kscen of these tests has the same word in its environment.
    turns::most();
    let folder = tempfile::tempdir().expect("a folder");
    let recovery = shipped("debezium-recovery.yaml", folder.path());
    // On one stack, which is what takes the time.
    let ours =
        [("recovery.yaml", &recovery[..]), ("hidden.yaml", HIDDEN), ("numbers.yaml", NUMBERS), ("clean.yaml", CLEAN)];
    let theirs =
        [("theirs.yaml", THEIRS), ("takes.yaml", TAKES), ("changes.yaml", CHANGES), ("as-it-was.yaml", AS_IT_WAS)];
    let outcome = run(folder.path(), &[&ours[..], &theirs].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.said);
    let former = std::fs::read(folder.path().join("former.json")).expect("a configuration");
    let former: serde_json::Value = serde_json::from_slice(&former).expect("JSON");
    let password = former["database.password"].as_str().expect("a password");
    assert!(password.len() == 32 && !outcome.said.contains(password), "{}", outcome.said);
    let results = folder.path().join("results");
    let grep = Command::new("grep").args(["-rl", password]).arg(results).output().expect("grep starts");
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "", "no file of the results holds the password");
    let traces = Command::new("python3").args(["-c", TRACES]).current_dir(folder.path()).output().expect("it starts");
    assert!(traces.status.success(), "{}", String::from_utf8_lossy(&traces.stderr));
    assert!(!outcome.said.contains("918273645") && !outcome.said.contains("tenant-hunter"), "{}", outcome.said);
    let judged = judge(folder.path());
    assert_eq!(judged.code, Some(0), "{}", judged.said);
    let same = judged.said.lines().filter(|line| line.contains("the stored accounts give the same result"));
    let (sums, rows): (Vec<&str>, Vec<&str>) = same.partition(|line| line.contains("because"));
    assert_eq!((sums.len(), rows.len()), (1, 2), "row by row, but for the rows with a secret: {}", judged.said);
    assert!(sums[0].contains("the rows contain a secret: deliveries of database changes 1"), "{}", judged.said);
}

const SABOTAGE: &str = r#"
name: A slot that is dropped behind the connector's back loses rows
guarantee: at-least-once
vars: { connector: "sabotage-${run.id}" }
setup:
  - sql: CREATE TABLE orders (id integer PRIMARY KEY, item text)
  - connector:
      name: "${connector}"
      debezium: { tables: [orders] }
      config: { slot.name: kscen_sabotaged }
      until: streaming
steps:
  - id: reader
    background: true
    consume: { topic: "${connector}.public.orders", decode: debezium }
  - id: before
    sql: { statement: "INSERT INTO orders VALUES ($1::int, 'before')", params: ["{{sequence}}"], count: 3 }
  - wait: { step: reader, count: 3 }
  - stop: { connector: "${connector}" }
  - sql: SELECT pg_drop_replication_slot('kscen_sabotaged')
  - id: unseen
    sql: { statement: "INSERT INTO orders VALUES ($1::int + 100, 'unseen')", params: ["{{sequence}}"], count: 4 }
  - sql: SELECT pg_create_logical_replication_slot('kscen_sabotaged', 'pgoutput')
  - start: { connector: "${connector}" }
  - id: after
    sql: { statement: "INSERT INTO orders VALUES ($1::int + 200, 'after')", params: ["{{sequence}}"], count: 3 }
  - expect:
      delivery: { from: [before, unseen, after], to: reader, inserts: 6, deletes: 0, tombstones: 0, values_not_compared: 0 }
      within: 60s
"#;

#[test]
fn rows_lost_with_a_dropped_slot_are_named_by_primary_key() {
    if skipped("rows_lost_with_a_dropped_slot_are_named_by_primary_key") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let outcome = run(folder.path(), &[("sabotage.yaml", SABOTAGE)]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.said);
    assert!(outcome.said.contains("delivery.lost: expected 0, observed 4"), "{}", outcome.said);
    for id in 100..104 {
        assert!(outcome.said.contains(&format!("lost: public.orders id={id}, insert")), "{id}: {}", outcome.said);
    }
    assert!(!outcome.said.contains("lost: public.orders id=0,"), "{}", outcome.said);
    // Of what is not lost everything is known.
    assert!(!outcome.said.contains("delivery.inserts"), "{}", outcome.said);
    assert!(!outcome.said.contains("delivery.tombstones"), "{}", outcome.said);
    // The classes of the guarantee and the four figures that the check names follow from the rows that are stored.
    let judged = judge(folder.path());
    assert_eq!(judged.code, Some(1), "as the run: {}", judged.said);
    assert!(
        judged.said.contains("the stored accounts give the same result: deliveries 1, checks 9"),
        "{}",
        judged.said
    );
    assert!(!judged.said.contains("because"), "row by row: {}", judged.said);
    let file = accounts(folder.path());
    let whole = std::fs::read(&file).expect("accounts");
    std::fs::write(&file, &whole[..whole.len() - 1]).expect("writes");
    let judged = judge(folder.path());
    assert_eq!(judged.code, Some(3), "{}", judged.said);
    assert!(judged.said.contains("proves nothing"), "{}", judged.said);
    std::fs::remove_file(&file).expect("it is there");
    assert_eq!(judge(folder.path()).code, Some(3), "accounts that were taken away are missed");
}
