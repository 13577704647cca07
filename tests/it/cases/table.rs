//! `docs/cases.md`: every case, what it must give, and what it gave.

use super::index::{Case, Index};
use super::judge::Result;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

const HEAD: &str = "# Cases with a known right verdict

The scenarios of [`tests/cases`](../tests/cases/README.md), each with the verdict that it must give and the one that it gave when
`scripts/cases` last ran it. Seconds are those of one run on a machine with other work to do.

| case | expected | seen | | seconds |
| --- | --- | --- | --- | --- |
";

/// Rewrites the row of a case; the rows of others stay, those of cases that are no more go.
pub fn record(key: &str, case: &Case, index: &Index, result: &Result) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/cases.md");
    let old = std::fs::read_to_string(&file).unwrap_or_default();
    let key_of = |line: &str| line.strip_prefix("| `").and_then(|line| line.split('`').next()).map(str::to_owned);
    let mut rows: BTreeMap<String, String> =
        old.lines().filter_map(|line| Some((key_of(line)?, line.to_owned()))).collect();
    rows.retain(|key, _| index.cases.contains_key(key));
    rows.insert(key.to_owned(), row(key, case, result));
    let text: String = rows.values().map(|row| format!("{row}\n")).collect();
    std::fs::write(&file, format!("{HEAD}{text}")).expect("docs/cases.md is written");
}

fn row(key: &str, case: &Case, result: &Result) -> String {
    let expected = cell(&case.expect.summary());
    match result {
        Result::NotRun(why) => format!("| `{key}` | {expected} | not run: {} | | |", cell(why)),
        Result::Ran { seen, wrong, seconds, .. } => {
            let judged = match (wrong.is_empty(), &case.known_wrong) {
                (true, None) => "right".to_owned(),
                (true, Some(_)) => "right; still marked known_wrong".to_owned(),
                (false, Some(_)) => format!("wrong, known: {}", cell(&wrong.join("; "))),
                (false, None) => format!("**wrong**: {}", cell(&wrong.join("; "))),
            };
            format!("| `{key}` | {expected} | {} | {judged} | {seconds:.0} |", cell(seen))
        }
    }
}

/// Text that does not break a table, nor name a folder of one run.
fn cell(text: &str) -> String {
    text.replace('|', "/").replace('\n', " ")
}
