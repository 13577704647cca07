//! A worker itself: it does what it is told, and tells what happens.

use super::WorkerError;
use super::code::{AT_ONCE, Delta};
use super::frame::{FrameKind, FrameReader, FrameWriter};
use super::message::{Down, Hello, Up, heard, say};
use crate::ground::lock;
use crate::kafka::{ClientLogs, LogSink};
use crate::load::LoadError;
use crate::load::afar::{FarJournal, FarOrder, FarUnit, FarWork, UnitKind, UnitTask};
use crate::load::consume::FarRead;
use crate::load::produce::FarProduce;
use crate::record::RunClock;
use crate::record::health::process_cpu_us;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// How often it tells what has happened.
const TICK: Duration = Duration::from_millis(100);
/// Lines of clients' logs that wait to be told.
const CLIENT_LINES: usize = 2000;

type Units = Arc<Mutex<BTreeMap<FarUnit, Box<dyn FarWork>>>>;
type Writer = Arc<Mutex<FrameWriter<Box<dyn Write + Send>>>>;

/// A worker that has the run's clock.
struct Host {
    clock: RunClock,
    journal: Arc<FarJournal>,
    logs: LogSink,
    units: Units,
    writer: Writer,
    runtime: Handle,
    /// Ends the thread that tells what happens.
    over: Sender<()>,
    told: Receiver<()>,
}

/// Serves a coordinator until it says that the run is over. Blocks; `runtime` is for looks at groups.
///
/// # Errors
/// Its stream ends, or makes no sense: whoever calls this ends, and its clients with it.
pub fn serve(read: impl Read, write: impl Write + Send + 'static, runtime: &Handle) -> Result<(), WorkerError> {
    let began = Instant::now();
    let mut reader = FrameReader::new(read);
    let writer: Writer = Arc::new(Mutex::new(FrameWriter::new(Box::new(write))));
    let tell = |message: &Up| say(&mut lock(&writer), message).map(drop).map_err(WorkerError::Write);
    tell(&Up::Hello(Hello::own()))?;
    let mut host: Option<Host> = None;
    let result = loop {
        let frame = match reader.read() {
            Ok(Some(frame)) => frame,
            Ok(None) => break Err(WorkerError::Gone),
            Err(error) => break Err(error.into()),
        };
        if frame.kind != FrameKind::Control {
            break Err(WorkerError::Protocol("the coordinator says what only workers say"));
        }
        let message: Down = heard(&frame)?;
        match message {
            Down::Ping(ping) => tell(&Up::Pong { ping, now_ns: began.elapsed().as_nanos() as u64 })?,
            Down::Bye => break Ok(()),
            Down::Begin { .. } if host.is_some() => break Err(WorkerError::Protocol("the coordinator began twice")),
            Down::Begin { origin_ns, epoch_us } => {
                let origin = match u64::try_from(origin_ns) {
                    Ok(after) => Some(began + Duration::from_nanos(after)),
                    Err(_) => began.checked_sub(Duration::from_nanos(origin_ns.unsigned_abs())),
                };
                let origin = origin.ok_or(WorkerError::Protocol("the run began before this machine's clock"))?;
                host = Some(Host::begin(RunClock::at_origin(origin, epoch_us), &writer, runtime.clone()));
            }
            Down::Prepare { unit, task } => match &host {
                Some(host) => host.prepare(unit, task),
                None => break Err(WorkerError::Protocol("the coordinator has not begun")),
            },
            Down::Order { unit, order } => match &host {
                Some(host) => host.order(unit, order),
                None => break Err(WorkerError::Protocol("the coordinator has not begun")),
            },
        }
    };
    if let Some(host) = host {
        host.end(result.is_ok());
    }
    if result.is_ok() {
        tell(&Up::Done)?;
    }
    result
}

impl Host {
    fn begin(clock: RunClock, writer: &Writer, runtime: Handle) -> Self {
        let journal = FarJournal::new(clock);
        let (logs, lines) = LogSink::bounded(CLIENT_LINES);
        let (over, ends) = channel();
        let (done, told) = channel();
        let (fetched, told_to) = (Arc::clone(&journal), Arc::clone(writer));
        std::thread::spawn(move || {
            let mut last_ns = 0;
            loop {
                let ended = !matches!(ends.recv_timeout(TICK), Err(RecvTimeoutError::Timeout));
                // Who does not hear it any more has no use for the rest.
                if tell_all(&fetched, &lines, &told_to, &mut last_ns).is_err() || ended {
                    break;
                }
            }
            let _ = done.send(());
        });
        let units = Units::default();
        Self { clock, journal, logs, units, writer: Arc::clone(writer), runtime, over, told }
    }

    /// Prepares a unit beside everything else: a cluster may take long to answer.
    fn prepare(&self, unit: FarUnit, task: UnitTask) {
        let (clock, logs, journal) = (self.clock, self.logs.clone(), self.journal.of(unit));
        let (units, writer, runtime) = (Arc::clone(&self.units), Arc::clone(&self.writer), self.runtime.clone());
        std::thread::spawn(move || {
            let _inside = runtime.enter();
            type Ready = (Box<dyn FarWork>, BTreeMap<String, String>);
            let prepared: Result<Ready, LoadError> = match task.kind {
                UnitKind::Producer => FarProduce::prepare(&task.body, clock, logs, journal)
                    .map(|(work, effective)| (Box::new(work) as Box<dyn FarWork>, effective)),
                UnitKind::Member => FarRead::prepare(&task.body, clock, logs, journal)
                    .map(|(work, effective)| (Box::new(work) as Box<dyn FarWork>, effective)),
            };
            let answer = match prepared {
                Ok((work, effective)) => {
                    lock(&units).insert(unit, work);
                    Up::Prepared { unit, effective }
                }
                Err(error) => Up::Refused { unit, why: error.to_string() },
            };
            // Without a stream the process ends.
            let _ = say(&mut lock(&writer), &answer);
        });
    }

    fn order(&self, unit: FarUnit, order: FarOrder) {
        if let Some(work) = lock(&self.units).get_mut(&unit) {
            work.order(order);
        }
    }

    /// Tells what is left; where nobody hears it, everything ends.
    fn end(self, heard: bool) {
        if !heard {
            lock(&self.units).values_mut().for_each(|work| work.order(FarOrder::Crash));
            lock(&self.units).values_mut().for_each(|work| work.order(FarOrder::Stop));
        }
        drop(self.over);
        let _ = self.told.recv();
    }
}

/// Tells what has happened since it was last told, and what clients have logged.
fn tell_all(journal: &FarJournal, lines: &ClientLogs, writer: &Writer, last_ns: &mut u64) -> Result<(), WorkerError> {
    for line in lines.take() {
        say(&mut lock(writer), &Up::Log(line)).map_err(WorkerError::Write)?;
    }
    let (mut entries, upto_ns) = journal.take();
    let cpu_us = process_cpu_us();
    loop {
        let rest = if entries.len() > AT_ONCE { entries.split_off(AT_ONCE) } else { Vec::new() };
        // More may follow at the very time of the last one.
        let told_ns = if rest.is_empty() { upto_ns } else { entries.last().map_or(*last_ns, |last| last.stamp_ns) };
        *last_ns = told_ns;
        let body = Delta { upto_ns: told_ns, cpu_us, entries }.encode().map_err(WorkerError::Write)?;
        lock(writer).write(FrameKind::Delta, &body).map_err(WorkerError::Write)?;
        if rest.is_empty() {
            return Ok(());
        }
        entries = rest;
    }
}
