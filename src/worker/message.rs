//! What coordinator and worker say to each other, besides what happens.

use super::WorkerError;
use super::frame::{Frame, FrameKind, FrameWriter};
use crate::kafka::ClientLog;
use crate::load::afar::{FarOrder, FarUnit, UnitTask};
use crate::record::strain::MachineSample;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The version of this protocol: workers of another one are refused.
pub(super) const PROTOCOL: u32 = 3;

/// Who a worker is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    /// Of the program.
    pub(super) version: String,
    pub(super) protocol: u32,
    pub(super) pid: u32,
    pub(super) host: String,
    pub(super) cores: usize,
    /// Which start of which machine it is on: processes of the same one have the same clock.
    #[serde(default)]
    pub(super) boot: Option<String>,
}

impl Hello {
    /// Of this process.
    pub(super) fn own() -> Self {
        let kernel = |name: &str| std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok();
        let host = kernel("hostname").map(|name| name.trim().to_owned());
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            pid: std::process::id(),
            host: host.unwrap_or_else(|| "an unnamed host".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            boot: kernel("random/boot_id").map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()),
        }
    }
}

/// From the coordinator to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Down {
    /// What does your clock say?
    Ping(u64),
    /// The run's clock: its origin, in ns of the worker's own clock, and in µs since the epoch.
    Begin {
        origin_ns: i64,
        epoch_us: i64,
        /// Whether it is to feel its machine, which nobody else does.
        feel: bool,
    },
    /// A unit is to be prepared.
    Prepare { unit: FarUnit, task: UnitTask },
    /// A unit is told something.
    Order { unit: FarUnit, order: FarOrder },
    /// The run is over.
    Bye,
}

/// From a worker to the coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Up {
    Hello(Hello),
    /// To this ping: the worker's own clock, in ns.
    Pong {
        ping: u64,
        now_ns: u64,
    },
    /// A unit is prepared; what its client really works with.
    Prepared {
        unit: FarUnit,
        effective: BTreeMap<String, String>,
    },
    /// A unit cannot be prepared.
    Refused {
        unit: FarUnit,
        why: String,
    },
    /// A line of a client's log.
    Log(ClientLog),
    /// Its machine was not available.
    Strain(Box<MachineSample>),
    /// All is told, and nothing follows.
    Done,
}

/// Writes a message; how many bytes that took.
pub(super) fn say(to: &mut FrameWriter<impl Write>, message: &impl Serialize) -> io::Result<usize> {
    let body = serde_json::to_vec(message).map_err(io::Error::other)?;
    to.write(FrameKind::Control, &body)
}

/// The message in a frame.
pub(super) fn heard<T: DeserializeOwned>(frame: &Frame) -> Result<T, WorkerError> {
    serde_json::from_slice(&frame.body).map_err(WorkerError::Message)
}
