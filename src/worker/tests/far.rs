//! A worker whose clock is apart and moves, behind a link that may hold back, lose, double or reorder a frame.

use crate::load::afar::JournalEntry;
use crate::worker::code::Delta;
use crate::worker::frame::{FrameKind, FrameReader, FrameWriter};
use crate::worker::message::{Up, say};
use crate::worker::offset::{Echo, Offset, OtherClock};
use rand::RngExt;
use rand::rngs::StdRng;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::rc::Rc;

/// A second, in ns.
pub(super) const SECOND_NS: u64 = 1_000_000_000;
/// How long the run has gone on, in s: a clock that is wrong by 45 µs a second is wrong by 50 ms by then.
pub(super) const AGE: u64 = 1_100;
/// So many frames are held back where one is late.
const HELD: u32 = 12;

/// A clock of a worker.
#[derive(Clone, Copy)]
struct Clock {
    /// By how much it is ahead when the run begins, in ns.
    ahead_ns: i64,
    /// By how much it goes wrong each second, in ns.
    drift_ns: i64,
}

impl Clock {
    /// Ahead or behind by up to 50 ms, and by as much again at the age of the run.
    fn draw(rng: &mut StdRng) -> Self {
        Self { ahead_ns: rng.random_range(-50_000_000..=50_000_000), drift_ns: rng.random_range(-45_000..=45_000) }
    }

    /// What it says at a time of the run. It began ten seconds before that.
    fn says(self, at_ns: u64) -> u64 {
        let wrong_ns = i128::from(at_ns) * i128::from(self.drift_ns) / i128::from(SECOND_NS);
        let said_ns = i128::from(at_ns) + i128::from(10 * SECOND_NS) + i128::from(self.ahead_ns) + wrong_ns;
        u64::try_from(said_ns).expect("a clock goes on")
    }

    /// Its answer to a ping of that time. Neither way is as long as the other.
    fn answers(self, rng: &mut StdRng, sent_ns: u64) -> Echo {
        let [there_ns, back_ns]: [u64; 2] = [0; 2].map(|_| rng.random_range(50_000..3_000_000));
        Echo { sent_ns, theirs_ns: self.says(sent_ns + there_ns), heard_ns: sent_ns + there_ns + back_ns }
    }
}

/// What a link does to one of its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mishap {
    /// It comes late, and so does what follows it.
    Held,
    Lost,
    Doubled,
    /// The next one overtakes it.
    Overtaken,
}

impl Mishap {
    pub(super) fn draw(rng: &mut StdRng) -> Self {
        [Self::Held, Self::Lost, Self::Doubled, Self::Overtaken][rng.random_range(0..4_usize)]
    }
}

/// Bytes that have arrived.
#[derive(Clone, Default)]
pub(super) struct Pipe(Rc<RefCell<VecDeque<u8>>>);

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(into)
    }
}

/// A worker, and the link to it.
pub(super) struct Far {
    clock: Clock,
    pub(super) known: OtherClock,
    pub(super) waiting: Vec<JournalEntry>,
    writer: FrameWriter<Vec<u8>>,
    /// Bytes that were written and are on their way.
    on_their_way: usize,
    pub(super) mishap: Option<(Mishap, u32)>,
    /// Whether that has happened.
    pub(super) befell: bool,
    held: VecDeque<Vec<u8>>,
    pipe: Pipe,
    pub(super) reader: FrameReader<Pipe>,
    pub(super) is_done: bool,
    pub(super) is_dead: bool,
}

impl Far {
    /// One whose clock was followed up to now. The bound that is kept of it holds at any time.
    pub(super) fn new(rng: &mut StdRng, mishap: Option<(Mishap, u32)>) -> Self {
        let clock = Clock::draw(rng);
        let first: Vec<Echo> = (0..100).map(|n| clock.answers(rng, n * 10_000_000)).collect();
        let known = OtherClock::new(Offset::of(&first).expect("answers"), false);
        let (pipe, writer) = (Pipe::default(), FrameWriter::new(Vec::new()));
        let reader = FrameReader::new(pipe.clone());
        let (waiting, held) = (Vec::new(), VecDeque::new());
        let (on_their_way, befell, is_done, is_dead) = (0, false, false, false);
        let mut far =
            Self { clock, known, waiting, writer, on_their_way, mishap, befell, held, pipe, reader, is_done, is_dead };
        (2..AGE).for_each(|second| far.is_asked(rng, second));
        far
    }

    pub(super) fn is_asked(&mut self, rng: &mut StdRng, second: u64) {
        let at_ns = second * SECOND_NS;
        let apart_ns = self.known.apart_ns();
        assert!(self.wrong_ns(at_ns) <= apart_ns, "after {second} s: {} of {apart_ns}", self.wrong_ns(at_ns));
        // Put right by what is certain of its drift as well.
        let left_ns =
            (i128::from(self.stamp_ns(at_ns)) - i128::from(self.known.moved_ns())).abs_diff(i128::from(at_ns));
        assert!(left_ns <= u128::from(apart_ns), "after {second} s: {left_ns} of {apart_ns}");
        self.known.answers(self.clock.answers(rng, at_ns));
    }

    /// When something happens, by its clock as it was set to that of the run.
    pub(super) fn stamp_ns(&self, at_ns: u64) -> u64 {
        let said_ns = i128::from(self.clock.says(at_ns)) - i128::from(self.known.offset.origin_ns);
        u64::try_from(said_ns).expect("it is after the start")
    }

    /// How far that is from when it happens.
    pub(super) fn wrong_ns(&self, at_ns: u64) -> u64 {
        self.stamp_ns(at_ns).abs_diff(at_ns)
    }

    /// Sends what was written down, up to a time.
    pub(super) fn tells(&mut self, upto_ns: u64) {
        let entries = std::mem::take(&mut self.waiting);
        let body = Delta { upto_ns, cpu_us: 0, entries }.encode().expect("it can be packed");
        self.writer.write(FrameKind::Delta, &body).expect("memory takes it");
        self.sends(false);
    }

    /// Says that all is told.
    pub(super) fn ends(&mut self) {
        say(&mut self.writer, &Up::Done).expect("memory takes it");
        self.sends(true);
    }

    /// The last frame goes well.
    fn sends(&mut self, is_last: bool) {
        let frame = self.writer.written()[self.on_their_way..].to_vec();
        self.on_their_way += frame.len();
        let number = self.writer.number() - 1;
        let (mishap, at) = self.mishap.unwrap_or((Mishap::Held, u32::MAX));
        let hits = number == at && !is_last;
        self.befell |= hits;
        match mishap {
            Mishap::Held if !is_last && (at..at.saturating_add(HELD)).contains(&number) => self.held.push_back(frame),
            Mishap::Lost if hits => {}
            Mishap::Overtaken if hits => self.held.push_back(frame),
            Mishap::Doubled if hits => (0..2).for_each(|_| self.arrives(&frame)),
            Mishap::Overtaken => {
                self.arrives(&frame);
                self.lets_go();
            }
            _ => {
                self.lets_go();
                self.arrives(&frame);
            }
        }
    }

    /// What was held back arrives.
    fn lets_go(&mut self) {
        let held = std::mem::take(&mut self.held);
        held.into_iter().for_each(|frame| self.arrives(&frame));
    }

    fn arrives(&self, frame: &[u8]) {
        self.pipe.0.borrow_mut().extend(frame);
    }

    /// Whether nobody can rely on its stream any more, by what has happened to that.
    pub(super) fn has_to_die(&self) -> bool {
        self.befell && !matches!(self.mishap, Some((Mishap::Held, _)))
    }
}
