//! The client library's own log lines, kept instead of printed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::SystemTime;

/// One log line of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientLog {
    /// When it was logged, in µs since the epoch.
    pub time_us: i64,
    /// The client's name within the run.
    pub client: String,
    /// Severity as syslog has it: 0 emergency … 3 error, 4 warning, 5 notice, 6 info, 7 debug.
    pub level: u8,
    /// librdkafka's facility, such as `FAIL` or `REQTMOUT`.
    pub facility: String,
    /// The line itself.
    pub message: String,
}

/// Where clients put their log lines. Bounded: a client never waits for its reader.
#[derive(Debug, Clone, Default)]
pub struct LogSink {
    sender: Option<SyncSender<ClientLog>>,
    dropped: Arc<AtomicU64>,
}

/// The other end of a [`LogSink`].
#[derive(Debug)]
pub struct ClientLogs {
    receiver: Receiver<ClientLog>,
    dropped: Arc<AtomicU64>,
}

impl LogSink {
    /// A sink that keeps up to `capacity` lines, and the end to read them from.
    pub fn bounded(capacity: usize) -> (Self, ClientLogs) {
        let (sender, receiver) = sync_channel(capacity);
        let dropped = Arc::new(AtomicU64::new(0));
        (Self { sender: Some(sender), dropped: dropped.clone() }, ClientLogs { receiver, dropped })
    }

    pub(super) fn put(&self, client: &str, level: u8, facility: &str, message: &str) {
        if self.sender.is_none() {
            return;
        }
        let line = ClientLog {
            time_us: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64),
            client: client.to_owned(),
            level,
            facility: facility.to_owned(),
            message: message.to_owned(),
        };
        self.pass_on(line);
    }

    /// Takes a line of a client in another process.
    pub(crate) fn pass_on(&self, line: ClientLog) {
        let Some(sender) = &self.sender else { return };
        if let Err(TrySendError::Full(_)) = sender.try_send(line) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl ClientLogs {
    /// Takes the lines that have arrived, without waiting.
    pub fn take(&self) -> Vec<ClientLog> {
        self.receiver.try_iter().collect()
    }

    /// Lines that found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
