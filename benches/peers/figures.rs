//! What was measured, kept between invocations.

use crate::broker::Broker;
use crate::peers::Peers;
use crate::{Outcome, process};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// One run of one program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// Messages per second, as the program itself reports them.
    pub rate: f64,
    /// CPU time of the whole process per message, in µs.
    pub cpu_us: f64,
    /// Peak of resident memory in MiB.
    pub peak_mib: f64,
}

impl Sample {
    /// The sample of a run of `messages`.
    pub fn new(rate: f64, messages: u64, taken: &process::Taken) -> Self {
        Self { rate, cpu_us: taken.cpu_us / messages as f64, peak_mib: taken.peak_mib }
    }
}

/// One program's runs, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Series {
    /// Its name.
    pub program: String,
    /// The command of the last run.
    pub command: String,
    /// One sample for each round.
    pub samples: Vec<Sample>,
}

/// Programs that took turns at the same task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    /// The task, such as `100 B, acks=all`.
    pub name: String,
    /// Messages in each run.
    pub messages: u64,
    /// kscen first.
    pub series: Vec<Series>,
}

impl Case {
    /// A task without runs.
    pub fn new(name: impl Into<String>, messages: u64) -> Self {
        Self { name: name.into(), messages, series: Vec::new() }
    }

    /// Enters a run.
    pub fn enter(&mut self, program: &str, command: String, sample: Sample) {
        eprintln!(
            "  {:24} {program:28} {:>9.0}/s {:7.3} µs {:6.1} MiB",
            self.name, sample.rate, sample.cpu_us, sample.peak_mib
        );
        match self.series.iter_mut().find(|series| series.program == program) {
            Some(series) => {
                series.command = command;
                series.samples.push(sample);
            }
            None => self.series.push(Series { program: program.to_owned(), command, samples: vec![sample] }),
        }
    }
}

/// All figures that are there.
pub struct Figures {
    path: PathBuf,
    all: Map<String, Value>,
}

impl Figures {
    /// Those of earlier invocations, if there are any.
    pub fn load(path: &Path) -> Outcome<Self> {
        let all = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(_) => Map::new(),
        };
        Ok(Self { path: path.to_owned(), all })
    }

    /// Notes versions and machine.
    pub fn describe(&mut self, broker: &Broker, peers: &Peers) -> Outcome<()> {
        let (kafka, java) = broker.versions();
        let machine = kscen::testing::machine();
        self.all.insert(
            "setting".to_owned(),
            json!({
                "kafka": kafka, "java": java, "librdkafka": peers.librdkafka, "kscen": env!("CARGO_PKG_VERSION"),
                "machine": machine,
            }),
        );
        self.save()
    }

    /// Enters what a part measured, with the time and the machine's load.
    pub fn set(&mut self, part: &str, measured: impl Serialize) -> Outcome<()> {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load: Vec<&str> = load.split(' ').take(3).collect();
        let time = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string();
        self.all.insert(
            part.to_owned(),
            json!({ "time": time, "load": load.join(" "), "measured": serde_json::to_value(measured)? }),
        );
        self.save()
    }

    fn save(&self) -> Outcome<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(&self.path, serde_json::to_vec_pretty(&self.all)?)?)
    }

    /// What a part measured; null where it has not run.
    pub fn get(&self, part: &str) -> &Value {
        self.all.get(part).unwrap_or(&Value::Null)
    }
}
