//! Backup and restore: kscen, the other tool in Rust, librdkafka, MirrorMaker 2 and the machine take turns on the same topics.

mod content;
mod fidelity;
mod limits;
mod mirror;
mod own;
mod peer;
mod sender;
pub mod table;

pub use sender::child;

use crate::Outcome;
use crate::broker::Broker;
use crate::figures::Figures;
use crate::peers::Peers;
use crate::process::Taken;
use fidelity::Fidelity;
use limits::Limits;
use mirror::Mirror;
use peer::BackupPeer;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Records of each topic; about 900 bytes each.
pub const RECORDS: u64 = 400_000;

/// One run of one program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackupSample {
    /// From start to end.
    pub wall_s: f64,
    /// User and system time of the process.
    pub cpu_s: f64,
    /// The same of the broker, meanwhile.
    pub broker_s: f64,
    /// Peak of resident memory.
    pub peak_mib: f64,
}

/// The runs of one program at one task, a sample for each round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackupSeries {
    pub task: String,
    pub program: String,
    pub samples: Vec<BackupSample>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BackupFigures {
    pub rounds: u64,
    pub megabytes: f64,
    pub peer: String,
    pub series: Vec<BackupSeries>,
    pub limits: Limits,
    pub fidelity: Vec<Fidelity>,
}

impl BackupFigures {
    /// Enters a run.
    pub fn enter(&mut self, task: &str, program: &str, sample: BackupSample) {
        eprintln!(
            "  {task:22} {program:30} {:7.2} s, CPU {:6.2} s, broker {:6.2} s, {:6.1} MiB",
            sample.wall_s, sample.cpu_s, sample.broker_s, sample.peak_mib
        );
        match self.series.iter_mut().find(|series| series.task == task && series.program == program) {
            Some(series) => series.samples.push(sample),
            None => {
                let (task, program) = (task.to_owned(), program.to_owned());
                self.series.push(BackupSeries { task, program, samples: vec![sample] });
            }
        }
    }

    /// The runs of a program.
    pub fn of(&self, task: &str, program: &str) -> Option<&BackupSeries> {
        self.series.iter().find(|series| series.task == task && series.program == program)
    }
}

/// What a run took of the machine, the broker included.
pub fn timed(broker: &Broker, work: impl FnOnce() -> Outcome<Taken>) -> Outcome<(BackupSample, Taken)> {
    let (begun, before) = (std::time::Instant::now(), broker.cpu_s()?);
    let taken = work()?;
    let sample = BackupSample {
        wall_s: begun.elapsed().as_secs_f64(),
        cpu_s: taken.cpu_us / 1e6,
        broker_s: broker.cpu_s()? - before,
        peak_mib: taken.peak_mib,
    };
    Ok((sample, taken))
}

/// A folder that is removed with what is in it.
pub fn folder(broker: &Broker) -> Outcome<PathBuf> {
    broker.fresh()
}

/// All rounds, and what each tool brings back. Figures are kept after each round.
pub fn measure(broker: &Broker, peers: &Peers, rounds: u64, kept: &mut Figures) -> Outcome<()> {
    let peer = BackupPeer::build()?;
    let mirror = Mirror::fetch()?;
    let mut figures = BackupFigures { peer: peer.version.clone(), ..BackupFigures::default() };
    eprintln!("  {RECORDS} records in two topics");
    let bytes = content::fill(broker, "plain", "none")?;
    content::fill(broker, "zstd", "zstd")?;
    figures.megabytes = bytes as f64 / 1e6;
    for round in 0..rounds {
        eprintln!(" round {} of {rounds}", round + 1);
        for topic in ["plain", "zstd"] {
            own::round(broker, &mut figures, topic)?;
            peer.round(broker, &mut figures, topic)?;
            sender::round(broker, peers, &mut figures, topic)?;
        }
        // It takes by far the longest, and is compared from end to end only.
        if round % 3 == 0 {
            mirror.round(broker, &mut figures)?;
        }
        figures.limits.round(broker)?;
        figures.rounds = round + 1;
        kept.set("backup", &figures)?;
    }
    own::many(broker, &mut figures)?;
    own::under_load(broker, &mut figures)?;
    kept.set("backup", &figures)?;
    figures.fidelity = fidelity::measure(broker, &peer, &mirror)?;
    for topic in ["plain", "zstd"] {
        broker.delete(topic)?;
    }
    kept.set("backup", figures)
}
