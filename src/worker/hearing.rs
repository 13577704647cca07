//! What workers and the units of this process tell, as it is taken in and entered.

use super::WorkerError;
use super::code::Delta;
use super::ensemble::Shared;
use super::frame::{Frame, FrameKind, FrameReader};
use super::host::let_go;
use super::line::Line;
use super::merge::{Merge, Next};
use super::message::{Up, heard};
use crate::ground::lock;
use crate::load::afar::{Death, FarUnit, Hearer};
use crate::record::strain::MachineSample;
use crate::record::{EventKind, WorkerDeath};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What was told, and who hears it.
#[derive(Default)]
pub(super) struct Hearing {
    pub(super) merge: Merge,
    /// By unit: the stream in which it is told of, and who hears of it.
    pub(super) hearers: BTreeMap<FarUnit, (usize, Arc<dyn Hearer>)>,
}

impl Shared {
    pub(super) fn emit(&self, line: &Line) {
        if let Some(recorder) = &self.recorder {
            recorder.emit(EventKind::Worker { record: Box::new(line.record()) });
        }
    }

    /// Hears one worker until its stream ends.
    pub(super) fn listen(&self, line: &Line, mut stream: FrameReader<impl Read>) {
        let why = loop {
            line.is_waited_for(true);
            let frame = stream.read();
            line.is_waited_for(false);
            match frame {
                Ok(Some(frame)) => {
                    line.told_bytes.fetch_add(frame.body.len() as u64, Ordering::Relaxed);
                    match self.take(line, frame) {
                        Ok(true) => {}
                        Ok(false) => return,
                        Err(error) => break error,
                    }
                }
                Ok(None) => break WorkerError::Gone,
                Err(error) => break error.into(),
            }
        };
        if !line.closing.load(Ordering::Acquire) {
            self.lose(line, &why.to_string());
        }
    }

    /// Takes what a worker says; false where nothing follows.
    fn take(&self, line: &Line, frame: Frame) -> Result<bool, WorkerError> {
        if frame.kind == FrameKind::Delta {
            let unreadable = WorkerError::Protocol("what it tells of what happened cannot be read");
            let Delta { upto_ns, cpu_us, entries } = Delta::decode(&frame.body).ok_or(unreadable)?;
            line.cpu_us.store(cpu_us, Ordering::Relaxed);
            let mut hearing = lock(&self.hearing);
            let at_once = hearing.merge.add_moved(line.index, (upto_ns, entries), line.moved_ns());
            let at_once = at_once.ok_or(WorkerError::Protocol("what it tells goes back in time"))?;
            at_once.into_iter().for_each(|next| self.enter(&mut hearing, next));
            self.enter_all(&mut hearing);
            return Ok(true);
        }
        match heard(&frame)? {
            Up::Hello(hello) => line.introduces_itself(hello)?,
            Up::Pong { ping, now_ns } => line.pong(ping, now_ns),
            Up::Prepared { unit, effective } => line.answer(unit, Ok(effective)),
            Up::Refused { unit, why } => line.answer(unit, Err(why)),
            Up::Log(log) => self.logs.pass_on(log),
            Up::Strain(sample) => {
                let sample = Box::new(MachineSample { worker: Some(line.index + 1), ..*sample });
                self.recorder.iter().for_each(|recorder| recorder.emit(EventKind::Strain { sample: sample.clone() }));
            }
            Up::Done => return Ok(false),
        }
        Ok(true)
    }

    /// Enters everything of which the order is certain, what the units of this process have written down included: of that it is known
    /// at any time that it is all.
    pub(super) fn enter_all(&self, hearing: &mut Hearing) {
        let (entries, upto_ns) = self.near.journal.take();
        let at_once = hearing.merge.add(self.near.stream, upto_ns, entries);
        at_once.into_iter().flatten().for_each(|next| self.enter(hearing, next));
        while let Some(next) = hearing.merge.next() {
            self.enter(hearing, next);
        }
        self.known_us.store(hearing.merge.certain_ns() / 1000, Ordering::Release);
    }

    fn enter(&self, hearing: &mut Hearing, next: Next) {
        match next {
            Next::Event(unit, event) => {
                let is_last = event.is_last();
                if let Some((_, hearer)) = hearing.hearers.get(&unit) {
                    hearer.hear(event);
                }
                if is_last {
                    hearing.hearers.remove(&unit);
                    lock(&self.places).0.remove(&unit);
                    let over = lock(&self.near.units).remove(&unit);
                    let_go(over.into_iter().collect());
                }
            }
            Next::Lost(worker, death) => self.enter_loss(hearing, worker, death),
        }
    }

    fn enter_loss(&self, hearing: &mut Hearing, worker: usize, death: Death) {
        let lost = hearing.hearers.iter().filter(|(_, (place, _))| *place == worker);
        let lost: Vec<FarUnit> = lost.map(|(unit, _)| *unit).collect();
        let hearers = lost.iter().filter_map(|unit| hearing.hearers.remove(unit));
        let unaccounted: Vec<String> = hearers.map(|(_, hearer)| hearer.lost(&death)).collect();
        let line = &self.lines[worker];
        let (at, known) = (death.at_us as f64 / 1e6, death.known_us as f64 / 1e6);
        line.died_of(WorkerDeath { at, known, why: death.why, unaccounted });
        self.emit(line);
        if let (Some(recorder), Some(loss)) = (&self.recorder, line.record().loss()) {
            recorder.warn(loss);
        }
    }

    /// A worker is gone, or is as good as gone.
    pub(super) fn lose(&self, line: &Line, why: &str) {
        if line.died.set(()).is_err() {
            return;
        }
        let at_us = self.clock.now_us();
        let why = match (line.end_now(), why) {
            (Some(how), _) if why == WorkerError::Gone.to_string() => how,
            _ => why.to_owned(),
        };
        let mut hearing = lock(&self.hearing);
        let known_us = hearing.merge.told_ns(line.index) / 1000;
        hearing.merge.lose(line.index, Death { worker: line.name(), why, at_us, known_us });
        self.enter_all(&mut hearing);
    }
}
