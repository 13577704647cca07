//! A worker itself: it does what it is told, and tells what happens.

use super::WorkerError;
use super::code::Delta;
use super::frame::{FrameKind, FrameReader, FrameWriter};
use super::message::{Down, Hello, Up, heard, say};
use super::portion::portion;
use crate::ground::lock;
use crate::kafka::{ClientLogs, LogSink};
use crate::load::LoadError;
use crate::load::afar::{FarJournal, FarOrder, FarUnit, FarWork, UnitKind, UnitTask};
use crate::load::consume::FarRead;
use crate::load::produce::FarProduce;
use crate::record::RunClock;
use crate::record::health::process_cpu_us;
use crate::record::pulse::{Felt, Pulse};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// How often it tells what has happened.
const TICK: Duration = Duration::from_millis(100);
/// No coordinator that lives is silent for longer once it has begun: it pings once a second.
const SILENCE: Duration = Duration::from_secs(5);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(200);
/// A look that comes later than this was held up itself, and says nothing of others.
const HELD_UP: Duration = Duration::from_secs(1);
/// How long the last words may take where nobody hears them.
const LAST: Duration = Duration::from_secs(1);
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
    /// Where the machine is felt here.
    pulse: Option<Pulse>,
    writer: Writer,
    runtime: Handle,
    /// Answers that are to be given.
    pongs: Sender<Up>,
    /// Ends the thread that tells what happens.
    over: Sender<()>,
    told: Receiver<()>,
}

/// When something was heard of the coordinator last; nothing before it has begun the run.
type Heard = Arc<Mutex<Option<Instant>>>;

/// Serves a coordinator until it says that the run is over. Blocks; `runtime` is for looks at groups. Where nothing is heard of the
/// coordinator any more although its stream is open, `forsaken` is called, which has to end the stream, or this process: it sends and
/// reads for nobody.
///
/// # Errors
/// Its stream ends, or makes no sense: whoever calls this ends, and its clients with it.
pub fn serve(
    read: impl Read,
    write: impl Write + Send + 'static,
    runtime: &Handle,
    forsaken: impl FnOnce() + Send + 'static,
) -> Result<(), WorkerError> {
    let began = Instant::now();
    let heard_of = Heard::default();
    let _watch = watch(&heard_of, forsaken);
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
        let message: Down = match heard(&frame) {
            Ok(message) => message,
            Err(error) => break Err(error),
        };
        lock(&heard_of).iter_mut().for_each(|last| *last = Instant::now());
        match message {
            Down::Ping(ping) => {
                let pong = Up::Pong { ping, now_ns: began.elapsed().as_nanos() as u64 };
                // Once the clock is set, no answer keeps this from hearing.
                let answered = if let Some(host) = &host { host.answer(pong) } else { tell(&pong) };
                if let Err(error) = answered {
                    break Err(error);
                }
            }
            Down::Bye => break Ok(()),
            Down::Begin { .. } if host.is_some() => break Err(WorkerError::Protocol("the coordinator began twice")),
            Down::Begin { origin_ns, epoch_us, feel } => {
                let origin = match u64::try_from(origin_ns) {
                    Ok(after) => Some(began + Duration::from_nanos(after)),
                    Err(_) => began.checked_sub(Duration::from_nanos(origin_ns.unsigned_abs())),
                };
                let origin = origin.ok_or(WorkerError::Protocol("the run began before this machine's clock"))?;
                let clock = RunClock::at_origin(origin, epoch_us);
                host = Some(Host::begin(clock, feel, &writer, runtime.clone()));
                *lock(&heard_of) = Some(Instant::now());
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

/// Gives answers, by a thread of its own: where the coordinator takes nothing for a while, because it has too much to enter, whoever reads
/// what it says has to go on with that.
fn answering(writer: &Writer) -> Sender<Up> {
    let (pongs, asked) = channel::<Up>();
    let writer = Arc::clone(writer);
    std::thread::spawn(move || {
        while let Ok(pong) = asked.recv() {
            // Without a stream the process ends.
            if say(&mut lock(&writer), &pong).is_err() {
                break;
            }
        }
    });
    pongs
}

/// Feels the machine, and tells of each second in which it was not available.
fn pulse_of(clock: RunClock, writer: &Writer) -> Pulse {
    let writer = Arc::clone(writer);
    Pulse::start(clock, Felt::default(), move |sample| {
        if sample.counts() {
            // Without a stream the process ends.
            let _ = say(&mut lock(&writer), &Up::Strain(Box::new(sample)));
        }
    })
}

/// Looks whether something is heard of the coordinator, until what it returns is dropped. By a thread of its own: all others may wait
/// for a stream that nobody reads.
fn watch(heard_of: &Heard, forsaken: impl FnOnce() + Send + 'static) -> Sender<()> {
    let (over, ends) = channel();
    let heard_of = Arc::clone(heard_of);
    std::thread::spawn(move || {
        loop {
            let before = Instant::now();
            match ends.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return,
            }
            let mut heard_of = lock(&heard_of);
            if before.elapsed() > HELD_UP {
                heard_of.iter_mut().for_each(|last| *last = Instant::now());
            } else if heard_of.is_some_and(|last| last.elapsed() > SILENCE) {
                break;
            }
        }
        forsaken();
    });
    over
}

impl Host {
    fn begin(clock: RunClock, feel: bool, writer: &Writer, runtime: Handle) -> Self {
        let pulse = feel.then(|| pulse_of(clock, writer));
        let journal = FarJournal::new(clock);
        let (logs, lines) = LogSink::bounded(CLIENT_LINES);
        let (over, ends) = channel();
        let (done, told) = channel();
        let (fetched, told_to, units) = (Arc::clone(&journal), Arc::clone(writer), Units::default());
        let running = Arc::clone(&units);
        std::thread::spawn(move || {
            let mut last_ns = 0;
            loop {
                let ended = !matches!(ends.recv_timeout(TICK), Err(RecvTimeoutError::Timeout));
                // Who does not hear it any more has no use for the rest.
                let Ok(over) = tell_all(&fetched, &lines, &told_to, &mut last_ns) else { break };
                let_go(taken_out(&running, &over));
                if ended {
                    break;
                }
            }
            let _ = done.send(());
        });
        let (writer, pongs) = (Arc::clone(writer), answering(writer));
        Self { clock, journal, logs, units, pulse, writer, runtime, pongs, over, told }
    }

    /// Gives an answer as soon as there is room for it.
    fn answer(&self, pong: Up) -> Result<(), WorkerError> {
        self.pongs.send(pong).map_err(|_| WorkerError::Gone)
    }

    /// Prepares a unit beside everything else: a cluster may take long to answer.
    fn prepare(&self, unit: FarUnit, task: UnitTask) {
        let (clock, logs, journal) = (self.clock, self.logs.clone(), self.journal.of(unit));
        let (units, writer, runtime) = (Arc::clone(&self.units), Arc::clone(&self.writer), self.runtime.clone());
        std::thread::spawn(move || {
            let _inside = runtime.enter();
            type Ready = (Box<dyn FarWork>, BTreeMap<String, String>);
            let prepare = || -> Result<Ready, LoadError> {
                match task.kind {
                    UnitKind::Producer => FarProduce::prepare(&task.body, clock, logs, journal)
                        .map(|(work, effective)| (Box::new(work) as Box<dyn FarWork>, effective)),
                    UnitKind::Member => FarRead::prepare(&task.body, clock, logs, journal)
                        .map(|(work, effective)| (Box::new(work) as Box<dyn FarWork>, effective)),
                }
            };
            let answer = match catch_unwind(AssertUnwindSafe(prepare)) {
                Ok(Ok((work, effective))) => {
                    lock(&units).insert(unit, work);
                    Up::Prepared { unit, effective }
                }
                Ok(Err(error)) => Up::Refused { unit, why: error.to_string() },
                // Whoever waits for the answer gets one.
                Err(_) => Up::Refused { unit, why: "its preparation ended by a defect of the program".to_owned() },
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
        if heard {
            drop(self.pulse);
            let _ = self.told.recv();
        } else {
            // Threads that tell something may wait for a stream that takes nothing.
            self.pulse.into_iter().for_each(Pulse::leave);
            let _ = self.told.recv_timeout(LAST);
        }
    }
}

/// Takes out units to which nothing more happens.
fn taken_out(units: &Units, over: &[FarUnit]) -> Vec<Box<dyn FarWork>> {
    let mut units = lock(units);
    over.iter().filter_map(|unit| units.remove(unit)).collect()
}

/// Lets go what units held that are over, which a run of weeks has many of. Nobody waits for their clients.
pub(super) fn let_go(over: Vec<Box<dyn FarWork>>) {
    if !over.is_empty() {
        std::thread::spawn(move || drop(over));
    }
}

/// Tells what has happened since it was last told, and what clients have logged. Returns the units to which nothing more happens.
fn tell_all(
    journal: &FarJournal,
    lines: &ClientLogs,
    writer: &Writer,
    last_ns: &mut u64,
) -> Result<Vec<FarUnit>, WorkerError> {
    for line in lines.take() {
        say(&mut lock(writer), &Up::Log(line)).map_err(WorkerError::Write)?;
    }
    let (mut entries, upto_ns) = journal.take();
    let over = entries.iter().filter(|entry| entry.event.is_last()).map(|entry| entry.unit).collect();
    let cpu_us = process_cpu_us();
    loop {
        let rest = entries.split_off(portion(&entries));
        // More may follow at the very time of the last one.
        let told_ns = if rest.is_empty() { upto_ns } else { entries.last().map_or(*last_ns, |last| last.stamp_ns) };
        *last_ns = told_ns;
        let body = Delta { upto_ns: told_ns, cpu_us, entries }.encode().map_err(WorkerError::Write)?;
        lock(writer).write(FrameKind::Delta, &body).map_err(WorkerError::Write)?;
        if rest.is_empty() {
            return Ok(over);
        }
        entries = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Takes nothing while it is so.
    struct Full(Arc<AtomicBool>);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            while self.0.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_worker_whose_coordinator_has_too_much_to_enter_still_hears_it() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let (full, (coordinator, worker)) = (Arc::new(AtomicBool::new(false)), UnixStream::pair().expect("a pair"));
        let (write, handle, (forsaken, given_up)) = (Full(Arc::clone(&full)), runtime.handle().clone(), channel());
        let served = std::thread::spawn(move || serve(worker, write, &handle, move || _ = forsaken.send(())));
        let mut coordinator = FrameWriter::new(coordinator);
        let mut says = |message: Down| _ = say(&mut coordinator, &message).expect("it reads");
        says(Down::Begin { origin_ns: 0, epoch_us: 0, feel: false });
        full.store(true, Ordering::Release);
        let until = Instant::now() + SILENCE + Duration::from_secs(2);
        for ping in 0.. {
            says(Down::Ping(ping));
            std::thread::sleep(LOOK);
            if Instant::now() > until {
                break;
            }
        }
        assert!(given_up.try_recv().is_err(), "it has heard of its coordinator all the time");
        full.store(false, Ordering::Release);
        says(Down::Bye);
        assert!(served.join().expect("a thread").is_ok());
    }

    struct Held(Sender<()>);

    impl FarWork for Held {
        fn order(&mut self, _: FarOrder) {}
    }

    impl Drop for Held {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    #[test]
    fn a_unit_that_is_over_is_let_go() {
        let (units, (sender, gone)) = (Units::default(), channel());
        for unit in 0..3 {
            lock(&units).insert(unit, Box::new(Held(sender.clone())));
        }
        let_go(taken_out(&units, &[1, 7]));
        assert!(gone.recv_timeout(SILENCE).is_ok());
        assert_eq!(lock(&units).keys().copied().collect::<Vec<_>>(), [0, 2]);
        assert!(gone.try_recv().is_err(), "the others go on");
    }
}
