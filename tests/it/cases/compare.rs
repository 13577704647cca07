//! What was seen against what must be.

use super::index::{Expect, Number, Word};
use super::seen::{Run, Seen, count};
use std::collections::BTreeMap;

/// What is not as it must be.
pub fn differences(expect: &Expect, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    wrong.extend(expect.exit.filter(|code| *code != seen.exit).map(|code| format!("exit {}, not {code}", seen.exit)));
    wrong.extend(missing(&expect.prints, &seen.printed));
    if seen.runs.is_empty() {
        wrong.extend(word(expect, seen.without_record()));
        wrong.extend(texts(expect, &seen.printed));
    }
    for run in &seen.runs {
        let cell = expect.cells.get(&run.cell());
        // A cell's own verdict stands for the one of all.
        let common = cell.is_none_or(|cell| cell.verdict.all().is_empty());
        let at = if seen.runs.len() > 1 { format!("[{}] ", run.cell()) } else { String::new() };
        let mut of_run = if common { word(expect, verdict(seen, run)) } else { Vec::new() };
        of_run.extend(record(expect, run));
        if let Some(cell) = cell {
            of_run.extend(word(cell, verdict(seen, run)));
            of_run.extend(record(cell, run));
        }
        wrong.extend(of_run.into_iter().map(|text| format!("{at}{text}")));
    }
    for cell in expect.cells.keys() {
        if !seen.runs.iter().any(|run| run.cell() == *cell) {
            wrong.push(format!("no run of [{cell}]"));
        }
    }
    // The exit code is the verdict's, where one run is all there is.
    if let ([run], None, false) = (seen.runs.as_slice(), expect.exit, seen.endless) {
        let code = run.word().exit();
        wrong
            .extend(code.filter(|code| *code != seen.exit).map(|code| {
                format!("exit {} with the verdict {:?}, whose exit code is {code}", seen.exit, run.word())
            }));
    }
    wrong
}

/// A run that had to be ended has no verdict of its own.
fn verdict(seen: &Seen, run: &Run) -> Word {
    if seen.endless { Word::Endless } else { run.word() }
}

fn word(expect: &Expect, seen: Word) -> Vec<String> {
    let wanted = expect.verdict.all();
    if wanted.is_empty() || wanted.contains(&seen) {
        return Vec::new();
    }
    vec![format!("the verdict is {seen:?}").to_lowercase()]
}

fn texts(expect: &Expect, text: &str) -> Vec<String> {
    let mut wrong = missing(&expect.says, text);
    if !expect.says_one_of.is_empty() && expect.says_one_of.iter().all(|wanted| !says(text, wanted)) {
        wrong.push(format!("it says none of {:?}", expect.says_one_of));
    }
    wrong.extend(expect.lacks.iter().filter(|word| says(text, word)).map(|word| format!("it says \"{word}\"")));
    wrong
}

fn missing(wanted: &[String], text: &str) -> Vec<String> {
    wanted.iter().filter(|wanted| !says(text, wanted)).map(|wanted| format!("it does not say \"{wanted}\"")).collect()
}

fn says(text: &str, wanted: &str) -> bool {
    text.to_lowercase().contains(&wanted.to_lowercase())
}

fn record(expect: &Expect, run: &Run) -> Vec<String> {
    let mut wrong = texts(expect, &run.reasons());
    // What the other hand could not do, no verdict is about.
    let broken = run.failed_commands().into_iter().filter(|id| !expect.steps.contains_key(id));
    wrong.extend(broken.map(|id| format!("the command of {id} failed, so the case did not happen")));
    for (which, counts) in &expect.delivered {
        // A delivery that was not settled has counted nothing.
        let delivery = run.delivery(which);
        wrong.extend(bounds(which, counts, |name| Some(delivery.map_or(0.0, |delivery| count(delivery, name)))));
    }
    for (id, ends) in &expect.steps {
        let Some((status, code)) = run.step(id) else {
            wrong.push(format!("there is no step {id}"));
            continue;
        };
        if !ends.all().iter().any(|wanted| *wanted == status || Some(wanted) == code.as_ref()) {
            wrong.push(format!("step {id} is {status} ({})", code.unwrap_or_default()));
        }
    }
    for (id, times) in &expect.faults {
        wrong.extend(bounds(id, times, |name| run.fault(id, name)));
    }
    wrong
}

fn bounds(of: &str, wanted: &BTreeMap<String, Number>, value: impl Fn(&str) -> Option<f64>) -> Vec<String> {
    let compare = |(name, number): (&String, &Number)| match value(name) {
        None => Some(format!("{of}: there is no {name}")),
        Some(value) if number.holds(value) => None,
        Some(value) => Some(format!("{of}: {name} is {value}, wanted {name}{number}")),
    };
    wanted.iter().filter_map(compare).collect()
}
