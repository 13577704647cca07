//! What a run of a case gave, read from kscen's record. Only this file knows where in the record things are.

use super::index::Word;
use serde_json::Value;

/// What was seen.
pub struct Seen {
    /// The exit code.
    pub exit: i32,
    /// Ended by the limit.
    pub endless: bool,
    /// What was printed on both streams.
    pub printed: String,
    /// The records, one a run.
    pub runs: Vec<Run>,
    /// How long it took.
    pub seconds: f64,
}

/// One record.
pub struct Run(pub Value);

impl Run {
    /// `name=value, name=value` of its matrix.
    pub fn cell(&self) -> String {
        let values = self.0["run"]["matrix"].as_object().into_iter().flatten();
        let mut cell: Vec<_> = values
            .map(|(name, value)| format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        cell.sort();
        cell.join(", ")
    }

    /// Its verdict.
    pub fn word(&self) -> Word {
        match self.0["verdict"]["outcome"].as_str() {
            Some("pass") => Word::Pass,
            Some("fail") => Word::Fail,
            Some("unknown") => Word::Unknown,
            Some("error") => Word::Error,
            Some("unclean") => Word::Unclean,
            Some("interrupted") => Word::Interrupted,
            _ => Word::None,
        }
    }

    /// The verdict's reasons, one a line.
    pub fn reasons(&self) -> String {
        let reasons = self.0["verdict"]["reasons"].as_array().into_iter().flatten();
        reasons.filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
    }

    /// The last delivery that was settled of `reader`, `load -> reader` or `a + b -> reader`.
    pub fn delivery(&self, which: &str) -> Option<&Value> {
        let ids = |text: &str| -> Vec<String> { text.split('+').map(|id| id.trim().to_owned()).collect() };
        let (from, to) = which.split_once("->").map_or((None, which), |(from, to)| (Some(ids(from)), to));
        let to = ids(to);
        let same = |value: &Value, wanted: &[String]| {
            let found: Vec<_> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            found.len() == wanted.len() && wanted.iter().all(|id| found.contains(&id.as_str()))
        };
        let deliveries = self.0["deliveries"].as_array()?;
        deliveries.iter().rev().find(|delivery| {
            same(&delivery["to"], &to) && from.as_ref().is_none_or(|from| same(&delivery["from"], from))
        })
    }

    /// How a step ended, and the code of its failure.
    pub fn step(&self, id: &str) -> Option<(String, Option<String>)> {
        let step = self.0["steps"].as_array()?.iter().find(|step| step["id"] == id)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some((text(&step["status"])?, text(&step["failure"]["code"])))
    }

    /// The `run` steps that failed.
    pub fn failed_commands(&self) -> Vec<String> {
        let steps = self.0["steps"].as_array().into_iter().flatten();
        let failed = steps
            .filter(|step| step["verb"] == "run" && ["failed", "error"].map(Value::from).contains(&step["status"]));
        failed.filter_map(|step| step["id"].as_str().map(str::to_owned)).collect()
    }

    /// A figure of a step's faults: `count`, `in_force` (together), `ready_after` (the longest); a time without end is infinite.
    pub fn fault(&self, id: &str, name: &str) -> Option<f64> {
        let faults = self.0["faults"].as_array().into_iter().flatten();
        let faults: Vec<_> = faults.filter(|fault| fault["step"] == id).collect();
        let between = |from: &str, to: &str| -> Vec<f64> {
            let seconds = |fault: &&Value| match (fault[from].as_f64(), fault[to].as_f64()) {
                (Some(from), Some(to)) => to - from,
                (Some(_), None) => f64::INFINITY,
                (None, _) => 0.0,
            };
            faults.iter().map(seconds).collect()
        };
        match name {
            "count" => Some(faults.iter().filter(|fault| fault["effective"].is_number()).count() as f64),
            _ if faults.is_empty() => None,
            "in_force" => Some(between("effective", "undone").into_iter().sum()),
            "ready_after" => Some(between("undone", "ready").into_iter().fold(0.0, f64::max)),
            _ => panic!("a fault has no figure {name}"),
        }
    }
}

/// A count of a delivery: of a class, or another figure of the account, or the sum of several (`lost+expired`). What is not there is 0.
pub fn count(delivery: &Value, names: &str) -> f64 {
    let ledger = &delivery["ledger"];
    let one = |name: &str| {
        let found = [&ledger["classes"][name]["count"], &ledger[name], &delivery["changes"][name]];
        found.into_iter().find_map(Value::as_f64).unwrap_or(0.0)
    };
    names.split('+').map(one).sum()
}

impl Seen {
    /// The verdict where there is no record.
    pub fn without_record(&self) -> Word {
        match self.exit {
            _ if self.endless => Word::Endless,
            2 => Word::Refused,
            3 => Word::Error,
            _ => Word::None,
        }
    }

    /// In a line.
    pub fn summary(&self) -> String {
        let exit = if self.endless { "not over at the limit".to_owned() } else { format!("exit {}", self.exit) };
        if self.runs.is_empty() {
            let last = self.printed.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            return format!("{exit}; {}", shorten(last));
        }
        let runs: Vec<_> = self.runs.iter().map(|run| self.summary_of(run)).collect();
        format!("{exit}; {}", runs.join(" | "))
    }

    fn summary_of(&self, run: &Run) -> String {
        let cell = if self.runs.len() > 1 { format!("[{}] ", run.cell()) } else { String::new() };
        let mut text = format!("{cell}{}", format!("{:?}", run.word()).to_lowercase());
        for delivery in run.0["deliveries"].as_array().into_iter().flatten().take(6) {
            let mut counts = vec![format!("read={}", count(delivery, "distinct"))];
            for class in delivery["ledger"]["classes"].as_object().into_iter().flatten().map(|(class, _)| class) {
                counts.push(format!("{class}={}", count(delivery, class)));
            }
            let name = |key: &str| {
                let ids = delivery[key].as_array().into_iter().flatten();
                ids.filter_map(Value::as_str).collect::<Vec<_>>().join("+")
            };
            text.push_str(&format!(", {}->{}: {}", name("from"), name("to"), counts.join(" ")));
        }
        if let Some(reason) = run.reasons().lines().next() {
            let id = run.0["run"]["id"].as_str().unwrap_or("no id");
            text.push_str(&format!("; \"{}\"", shorten(&reason.replace(id, "ID"))));
        }
        text
    }

    /// For a reader of a failed test.
    pub fn details(&self) -> String {
        let mut text = String::new();
        for run in &self.runs {
            text.push_str(&format!("--- run {} {:?}\n{}\n", run.cell(), run.word(), run.reasons()));
            for key in ["deliveries", "faults", "leftovers"] {
                text.push_str(&format!("{key}: {}\n", run.0[key]));
            }
        }
        format!("{text}--- printed\n{}", self.printed)
    }
}

/// The first 160 characters, without what would break a table.
fn shorten(text: &str) -> String {
    let text = text.trim().replace('|', "/");
    if text.chars().count() <= 160 { text } else { text.chars().take(159).chain(['…']).collect() }
}
