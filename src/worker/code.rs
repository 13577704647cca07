//! What happened, as bytes: a few for each message, packed.
//!
//! Up to when it is all (ns of the run), CPU time so far (µs), how many entries, then the entries, packed by zstd. What happens to
//! many messages at once is written as steps from one to the next; everything else is JSON.

use crate::accounting::{read_varint, write_varint};
use crate::kafka::SendOutcome;
use crate::load::afar::{
    FarEvent, FoundIdentity, HandedMessage, JournalEntry, MemberEvent, MessageOutcome, ProducerEvent, SeenMessage,
};
use std::io::Read;

/// What a worker tells at once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Delta {
    pub(super) upto_ns: u64,
    pub(super) cpu_us: u64,
    pub(super) entries: Vec<JournalEntry>,
}

/// The most bytes that a delta takes unpacked.
const MOST: usize = 64 << 20;
/// The most entries of a delta. Each is of one look at a client, which tells of a thousand messages at most.
pub(super) const AT_ONCE: usize = 4096;
/// The most messages that a delta tells of, and once more the runs of those that follow each other.
const MOST_MESSAGES: u64 = 8 << 20;
/// How hard it is packed: as little as there is.
const LEVEL: i32 = 1;

const RAISED: u64 = 0;
const HANDED: u64 = 1;
const OUTCOMES: u64 = 2;
const READ: u64 = 3;
const OTHER: u64 = 4;

struct Out(Vec<u8>);

impl Out {
    fn number(&mut self, value: u64) {
        write_varint(&mut self.0, value);
    }

    /// How far a value is from the one before, whichever way.
    fn step(&mut self, from: u64, to: u64) {
        let step = to.wrapping_sub(from) as i64;
        self.number((step << 1 ^ step >> 63) as u64);
    }
}

/// Bytes that are read, and how many messages they may tell of by now: a few bytes can stand for any number of them.
struct In<'a>(std::iter::Copied<std::slice::Iter<'a, u8>>, u64);

impl<'a> In<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self(bytes.iter().copied(), MOST_MESSAGES)
    }

    fn number(&mut self) -> Option<u64> {
        read_varint(&mut self.0)
    }

    /// A number of messages that there is room for.
    fn messages(&mut self) -> Option<u64> {
        let count = self.number()?;
        self.1 = self.1.checked_sub(count)?;
        Some(count)
    }

    fn step(&mut self, from: u64) -> Option<u64> {
        let code = self.number()?;
        let step = (code >> 1) as i64 ^ -((code & 1) as i64);
        Some(from.wrapping_add(step as u64))
    }

    fn bytes(&mut self, length: u64) -> Option<Vec<u8>> {
        let length = usize::try_from(length).ok().filter(|length| *length <= self.0.len())?;
        Some(self.0.by_ref().take(length).collect())
    }

    /// So many messages, none of which takes less than a byte.
    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.messages()?;
        if count > self.0.len() as u64 {
            return None;
        }
        (0..count).map(|_| one(self)).collect()
    }
}

impl Delta {
    pub(super) fn encode(&self) -> std::io::Result<Vec<u8>> {
        let mut out = Out(Vec::new());
        let mut last_ns = 0;
        for JournalEntry { stamp_ns, unit, event } in &self.entries {
            out.number(stamp_ns - last_ns);
            last_ns = *stamp_ns;
            out.number(u64::from(*unit));
            put(&mut out, event)?;
        }
        let mut head = Out(Vec::new());
        for value in [self.upto_ns, self.cpu_us, self.entries.len() as u64, out.0.len() as u64] {
            head.number(value);
        }
        head.0.extend(zstd::bulk::compress(&out.0, LEVEL)?);
        Ok(head.0)
    }

    /// `None` where that is no delta.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut head = In::of(bytes);
        let (upto_ns, cpu_us, count, length) = (head.number()?, head.number()?, head.number()?, head.number()?);
        let length = usize::try_from(length).ok().filter(|length| *length <= MOST && count <= AT_ONCE as u64)?;
        let packed = &bytes[bytes.len() - head.0.len()..];
        let mut unpacked = Vec::new();
        // As much memory as there is, not as is announced.
        let decoder = zstd::stream::read::Decoder::with_buffer(packed).ok()?;
        decoder.take(length as u64 + 1).read_to_end(&mut unpacked).ok().filter(|read| *read == length)?;
        let mut from = In::of(&unpacked);
        let mut last_ns = 0u64;
        let mut entries = Vec::new();
        for _ in 0..count {
            last_ns = last_ns.checked_add(from.number()?)?;
            let unit = u32::try_from(from.number()?).ok()?;
            entries.push(JournalEntry { stamp_ns: last_ns, unit, event: get(&mut from)? });
        }
        (from.0.len() == 0).then_some(Self { upto_ns, cpu_us, entries })
    }
}

fn put(out: &mut Out, event: &FarEvent) -> std::io::Result<()> {
    match event {
        FarEvent::Producer(ProducerEvent::Raised(count)) => {
            out.number(RAISED);
            out.number(*count);
        }
        FarEvent::Producer(ProducerEvent::Handed { now_us, messages }) => {
            out.number(HANDED);
            out.number(*now_us);
            put_handed(out, messages);
        }
        FarEvent::Producer(ProducerEvent::Outcomes { now_us, outcomes }) => {
            out.number(OUTCOMES);
            out.number(*now_us);
            put_outcomes(out, outcomes);
        }
        FarEvent::Member(MemberEvent::Read { now_us, delivered, messages }) => {
            out.number(READ);
            out.number(*now_us);
            out.number(*delivered);
            put_seen(out, messages);
        }
        other => {
            let text = serde_json::to_vec(other).map_err(std::io::Error::other)?;
            out.number(OTHER);
            out.number(text.len() as u64);
            out.0.extend(text);
        }
    }
    Ok(())
}

fn get(from: &mut In<'_>) -> Option<FarEvent> {
    Some(match from.number()? {
        RAISED => FarEvent::Producer(ProducerEvent::Raised(from.number()?)),
        HANDED => FarEvent::Producer(ProducerEvent::Handed { now_us: from.number()?, messages: get_handed(from)? }),
        OUTCOMES => {
            FarEvent::Producer(ProducerEvent::Outcomes { now_us: from.number()?, outcomes: get_outcomes(from)? })
        }
        READ => {
            let (now_us, delivered) = (from.number()?, from.number()?);
            FarEvent::Member(MemberEvent::Read { now_us, delivered, messages: get_seen(from)? })
        }
        OTHER => {
            let length = from.number()?;
            serde_json::from_slice(&from.bytes(length)?).ok()?
        }
        _ => return None,
    })
}

fn put_handed(out: &mut Out, messages: &[HandedMessage]) {
    out.number(messages.len() as u64);
    let (mut sequence, mut due_us, mut bytes) = (0, 0, 0);
    for message in messages {
        let refused = message.refused.is_some();
        out.number(u64::from(message.warmup) | u64::from(refused) << 1);
        out.step(sequence, message.sequence);
        out.step(due_us, message.due_us);
        out.step(bytes, u64::from(message.bytes));
        if let Some(code) = message.refused {
            out.step(0, code as u64);
        }
        (sequence, due_us, bytes) = (message.sequence.wrapping_add(1), message.due_us, u64::from(message.bytes));
    }
}

fn get_handed(from: &mut In<'_>) -> Option<Vec<HandedMessage>> {
    let (mut next, mut due, mut size) = (0, 0, 0);
    from.list(|from| {
        let flags = from.number()?;
        let (sequence, due_us, bytes) = (from.step(next)?, from.step(due)?, from.step(size)?);
        (next, due, size) = (sequence.wrapping_add(1), due_us, bytes);
        let refused = if flags & 2 == 0 { None } else { Some(from.step(0)? as i32) };
        Some(HandedMessage { sequence, due_us, bytes: u32::try_from(bytes).ok()?, warmup: flags & 1 == 1, refused })
    })
}

/// Messages that follow each other in sequence and place, with the same outcome.
fn put_outcomes(out: &mut Out, outcomes: &[MessageOutcome]) {
    let follows = |before: &MessageOutcome, after: &MessageOutcome| {
        let offset = if before.offset < 0 { before.offset } else { before.offset + 1 };
        after.sequence == before.sequence.wrapping_add(1)
            && (after.outcome, after.partition, after.offset) == (before.outcome, before.partition, offset)
    };
    let runs: Vec<&[MessageOutcome]> = outcomes.chunk_by(follows).collect();
    out.number(runs.len() as u64);
    let (mut sequence, mut partition, mut offset) = (0, 0, 0);
    for run in runs {
        let first = run[0];
        let (kind, code) = match first.outcome {
            SendOutcome::Acked => (0, 0),
            SendOutcome::Failed(code) => (1, code),
            SendOutcome::Unknown(code) => (2, code),
        };
        out.number(kind);
        if kind > 0 {
            out.step(0, code as u64);
        }
        out.number(run.len() as u64);
        out.step(sequence, first.sequence);
        out.step(partition, first.partition as u64);
        out.step(offset, first.offset as u64);
        (sequence, partition, offset) = (first.sequence, first.partition as u64, first.offset as u64);
    }
}

fn get_outcomes(from: &mut In<'_>) -> Option<Vec<MessageOutcome>> {
    let (mut last, mut place, mut at) = (0, 0, 0);
    let runs = from.list(|from| {
        let kind = from.number()?;
        let code = if kind > 0 { from.step(0)? as i32 } else { 0 };
        let outcome = match kind {
            0 => SendOutcome::Acked,
            1 => SendOutcome::Failed(code),
            2 => SendOutcome::Unknown(code),
            _ => return None,
        };
        let count = from.messages()?;
        (last, place, at) = (from.step(last)?, from.step(place)?, from.step(at)?);
        Some((MessageOutcome { sequence: last, outcome, partition: place as i32, offset: at as i64 }, count))
    })?;
    let all = runs.into_iter().flat_map(|(first, count)| {
        (0..count).map(move |n| MessageOutcome {
            sequence: first.sequence.wrapping_add(n),
            offset: if first.offset < 0 { first.offset } else { first.offset.wrapping_add(n as i64) },
            ..first
        })
    });
    Some(all.collect())
}

const OWN: u64 = 0;
const NOBODYS: u64 = 1;
const DAMAGED: u64 = 2;
const KIND: u64 = 3;
const SAME_PARTITION: u64 = 4;
const NEXT_OFFSET: u64 = 8;
const SAME_EPOCH: u64 = 16;
const SAME_BYTES: u64 = 32;
const ONCE: u64 = 64;
const SAME_PRODUCER: u64 = 128;
const NEXT_SEQUENCE: u64 = 256;
const WARMUP: u64 = 512;
const INTACT: u64 = 1024;
const AROUND_ANOTHER: u64 = 2048;

/// What the next message is told against.
struct Before {
    message: SeenMessage,
    own: FoundIdentity,
}

impl Before {
    fn nothing() -> Self {
        let own = FoundIdentity {
            producer: 0,
            sequence: 0,
            due_us: 0,
            body_crc: 0,
            warmup: false,
            intact: true,
            around_another: false,
        };
        let message = SeenMessage { partition: 0, offset: 0, epoch: None, bytes: 0, times: 1, identity: Err(false) };
        Self { message, own }
    }

    fn is(&mut self, message: &SeenMessage) {
        self.message = *message;
        if let Ok(own) = message.identity {
            self.own = own;
        }
    }

    fn flags(&self, message: &SeenMessage) -> u64 {
        let last = &self.message;
        let flag = |holds: bool, flag: u64| if holds { flag } else { 0 };
        let all = flag(message.partition == last.partition, SAME_PARTITION)
            | flag(message.offset == last.offset.wrapping_add(1), NEXT_OFFSET)
            | flag(message.epoch == last.epoch, SAME_EPOCH)
            | flag(message.bytes == last.bytes, SAME_BYTES)
            | flag(message.times == 1, ONCE);
        let of = |own: &FoundIdentity| {
            OWN | flag(own.producer == self.own.producer, SAME_PRODUCER)
                | flag(own.sequence == self.own.sequence.wrapping_add(1), NEXT_SEQUENCE)
                | flag(own.warmup, WARMUP)
                | flag(own.intact, INTACT)
                | flag(own.around_another, AROUND_ANOTHER)
        };
        all | match &message.identity {
            Ok(own) => of(own),
            Err(false) => NOBODYS,
            Err(true) => DAMAGED,
        }
    }
}

fn put_seen(out: &mut Out, messages: &[SeenMessage]) {
    out.number(messages.len() as u64);
    let mut before = Before::nothing();
    for message in messages {
        let flags = before.flags(message);
        let last = &before.message;
        out.number(flags);
        if flags & SAME_PARTITION == 0 {
            out.step(0, message.partition as u64);
        }
        if flags & NEXT_OFFSET == 0 {
            out.step(last.offset as u64, message.offset as u64);
        }
        if flags & SAME_EPOCH == 0 {
            out.step(0, i64::from(message.epoch.unwrap_or(-1)) as u64);
        }
        if flags & SAME_BYTES == 0 {
            out.number(u64::from(message.bytes));
        }
        if flags & ONCE == 0 {
            out.number(u64::from(message.times));
        }
        if let Ok(own) = &message.identity {
            if flags & SAME_PRODUCER == 0 {
                out.number(u64::from(own.producer));
            }
            if flags & NEXT_SEQUENCE == 0 {
                out.step(before.own.sequence, own.sequence);
            }
            out.step(before.own.due_us as u64, own.due_us as u64);
            out.0.extend(own.body_crc.to_le_bytes());
        }
        before.is(message);
    }
}

/// A partition that a topic can have: whoever accounts for messages keeps a list of them.
fn partition(number: u64) -> Option<i32> {
    i32::try_from(number).ok().filter(|partition| *partition < 1 << 20)
}

fn get_seen(from: &mut In<'_>) -> Option<Vec<SeenMessage>> {
    let mut before = Before::nothing();
    from.list(|from| {
        let flags = from.number()?;
        let (last, own) = (before.message, before.own);
        let has = |flag: u64| flags & flag != 0;
        let partition = if has(SAME_PARTITION) { last.partition } else { partition(from.step(0)?)? };
        let offset = if has(NEXT_OFFSET) { last.offset.wrapping_add(1) } else { from.step(last.offset as u64)? as i64 };
        let epoch = if has(SAME_EPOCH) { last.epoch } else { Some(from.step(0)? as i32).filter(|epoch| *epoch >= 0) };
        let bytes = if has(SAME_BYTES) { last.bytes } else { u32::try_from(from.number()?).ok()? };
        let times = if has(ONCE) { 1 } else { u8::try_from(from.number()?).ok()? };
        let identity = match flags & KIND {
            OWN => {
                let producer = if has(SAME_PRODUCER) { own.producer } else { u16::try_from(from.number()?).ok()? };
                let sequence = if has(NEXT_SEQUENCE) { own.sequence.wrapping_add(1) } else { from.step(own.sequence)? };
                let due_us = from.step(own.due_us as u64)? as i64;
                let body_crc = u32::from_le_bytes(from.bytes(4)?.try_into().ok()?);
                let (warmup, intact, around_another) = (has(WARMUP), has(INTACT), has(AROUND_ANOTHER));
                Ok(FoundIdentity { producer, sequence, due_us, body_crc, warmup, intact, around_another })
            }
            NOBODYS => Err(false),
            DAMAGED => Err(true),
            _ => return None,
        };
        let message = SeenMessage { partition, offset, epoch, bytes, times, identity };
        before.is(&message);
        Some(message)
    })
}
