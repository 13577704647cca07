//! Where each acknowledged message went, in about one byte a message.

use super::PagedBitmap;
use super::allowance::take_places;
use super::packed::{from_hex, read_varint, to_hex, write_varint};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Past this, some six million messages whose partitions are mixed at random, the account stops recording places; the classes
/// stay exact, samples lose their place.
const BUDGET_BYTES: usize = 8 << 20;

/// Partition and offset of acknowledged sequences, delta- and run-length-coded per partition in
/// the order of their acknowledgement.
#[derive(Debug, Clone, Default)]
pub struct AckedOffsets {
    partitions: BTreeMap<i32, Track>,
    bytes: usize,
}

#[derive(Debug, Clone, Default)]
struct Track {
    code: Vec<u8>,
    last: (u64, i64),
    /// The steps that have not been written yet: sequence step, offset step, repetitions.
    pending: (i64, i64, u64),
}

impl AckedOffsets {
    /// Notes that `sequence` was written at `offset`; -1 where only its partition is known (`acks: 0`).
    pub fn push(&mut self, partition: i32, sequence: u64, offset: i64) {
        self.push_run(partition, sequence..sequence + 1, offset);
    }

    /// Notes that these sequences were written one after the other, the first of them at `offset`; -1 where only their
    /// partition is known.
    pub fn push_run(&mut self, partition: i32, sequences: Range<u64>, offset: i64) {
        if self.bytes > BUDGET_BYTES || sequences.is_empty() {
            return;
        }
        let track = self.partitions.entry(partition).or_default();
        let before = track.code.len();
        let jump = (sequences.start.wrapping_sub(track.last.0) as i64, offset.wrapping_sub(track.last.1));
        track.step(jump, 1);
        track.step((1, i64::from(offset >= 0)), sequences.end - sequences.start - 1);
        self.bytes += track.code.len() - before;
    }

    /// Calls `found` with sequence, partition and offset of everything that was noted.
    pub fn for_each(&self, mut found: impl FnMut(u64, i32, i64)) {
        for (partition, track) in &self.partitions {
            let mut track = track.clone();
            track.flush();
            let (mut sequence, mut offset) = (0u64, 0i64);
            for (sequence_step, offset_step, times) in steps(&track.code) {
                for _ in 0..times {
                    sequence = sequence.wrapping_add(sequence_step as u64);
                    offset = offset.wrapping_add(offset_step);
                    found(sequence, *partition, offset);
                }
            }
        }
    }

    /// How many places were noted.
    pub(super) fn places(&self) -> u64 {
        let steps = self.partitions.values().flat_map(|track| steps(&track.code).chain(track.waiting()));
        steps.fold(0, |sum, (_, _, times)| sum.saturating_add(times))
    }

    /// What it takes to enter the places of every partition into a set: how many there are, and over how many of its pages they are
    /// spread; more than `most` pages are not counted. Where there are too many places to go through, the pages are not looked at.
    pub(super) fn spread(&self, most: usize, through: u64) -> (u64, usize) {
        let places = self.places();
        if places > through {
            return (places, 0);
        }
        let mut pages = BTreeSet::new();
        for (partition, track) in &self.partitions {
            let (mut offset, mut last) = (0i64, None);
            for (_, step, times) in steps(&track.code).chain(track.waiting()) {
                for _ in 0..times {
                    offset = offset.wrapping_add(step);
                    let page = offset as u64 / PagedBitmap::PAGE;
                    if last.replace(page) != Some(page) && pages.insert((*partition, page)) && pages.len() > most {
                        return (places, pages.len());
                    }
                }
            }
        }
        (places, pages.len())
    }

    /// Bytes held on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.partitions.values().map(|track| track.code.capacity() + 64).sum()
    }
}

/// The steps that were written: of the sequence, of the offset, and how often.
fn steps(code: &[u8]) -> impl Iterator<Item = (i64, i64, u64)> + '_ {
    let mut code = code.iter().copied();
    std::iter::from_fn(move || {
        let head = read_varint(&mut code)?;
        let offset_step = if head & 2 == 0 { 1 } else { unzigzag(read_varint(&mut code).unwrap_or(0)) };
        let times = if head & 1 == 0 { 1 } else { read_varint(&mut code).unwrap_or(1) };
        Some((unzigzag(head >> 2), offset_step, times))
    })
}

impl Track {
    /// Goes so many equal steps on.
    fn step(&mut self, (sequence, offset): (i64, i64), times: u64) {
        if times == 0 {
            return;
        }
        self.last.0 = self.last.0.wrapping_add_signed(sequence.wrapping_mul(times as i64));
        self.last.1 = self.last.1.wrapping_add(offset.wrapping_mul(times as i64));
        if (self.pending.0, self.pending.1) == (sequence, offset) && self.pending.2 > 0 {
            self.pending.2 += times;
            return;
        }
        self.flush();
        self.pending = (sequence, offset, times);
    }

    /// The steps that have not been written yet.
    fn waiting(&self) -> Option<(i64, i64, u64)> {
        Some(self.pending).filter(|(_, _, times)| *times > 0)
    }

    fn flush(&mut self) {
        let (sequence_step, offset_step, times) = self.pending;
        if times == 0 {
            return;
        }
        let flags = u64::from(offset_step != 1) << 1 | u64::from(times > 1);
        // Steps of 2^61 do not occur: sequences count from zero.
        write_varint(&mut self.code, zigzag(sequence_step) << 2 | flags);
        if offset_step != 1 {
            write_varint(&mut self.code, zigzag(offset_step));
        }
        if times > 1 {
            write_varint(&mut self.code, times);
        }
        self.pending.2 = 0;
    }
}

impl Serialize for AckedOffsets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tracks = self.partitions.iter().map(|(partition, track)| {
            let mut track = track.clone();
            track.flush();
            (*partition, to_hex(&track.code))
        });
        (self.bytes as u64, tracks.collect::<Vec<_>>()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AckedOffsets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (bytes, tracks) = <(u64, Vec<(i32, String)>)>::deserialize(deserializer)?;
        let mut offsets = Self { partitions: BTreeMap::new(), bytes: usize::try_from(bytes).unwrap_or(usize::MAX) };
        for (partition, text) in tracks {
            let code = from_hex(&text).ok_or_else(|| de::Error::custom("the places of messages are damaged"))?;
            let places = steps(&code).fold(0u64, |sum, (_, _, times)| sum.saturating_add(times));
            take_places(places).map_err(de::Error::custom)?;
            // What is read from disk is not added to: the last place does not matter any more.
            offsets.partitions.insert(partition, Track { code, ..Track::default() });
        }
        Ok(offsets)
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    #[test]
    fn returns_what_was_noted() {
        let mut rng = StdRng::seed_from_u64(1);
        let (mut offsets, mut ends, mut model) = (AckedOffsets::default(), [7i64, 100, 0], Vec::new());
        for sequence in 0..50_000u64 {
            let partition = rng.random_range(0..3usize);
            if sequence % 1000 == 0 {
                ends[partition] += 2;
            }
            // Some acknowledgements overtake others.
            let sequence = sequence ^ u64::from(rng.random_range(0..50) == 0);
            let count = if rng.random_range(0..20) == 0 { 5 } else { 1 };
            offsets.push_run(partition as i32, sequence..sequence + count, ends[partition]);
            for n in 0..count {
                model.push((sequence + n, partition as i32, ends[partition]));
                ends[partition] += 1;
            }
        }
        let mut read = Vec::new();
        offsets.for_each(|sequence, partition, offset| read.push((sequence, partition, offset)));
        model.sort_by_key(|entry| (entry.1, entry.2));
        assert_eq!(read, model);
        assert!(offsets.heap_bytes() < 120_000, "{}", offsets.heap_bytes());
        let text = serde_json::to_string(&offsets).unwrap();
        let mut again = Vec::new();
        let back: AckedOffsets = serde_json::from_str(&text).unwrap();
        back.for_each(|sequence, partition, offset| again.push((sequence, partition, offset)));
        assert_eq!(again, model);
    }

    #[test]
    fn no_repetition_is_read_that_no_run_has_time_for() {
        let mut code = Vec::new();
        write_varint(&mut code, zigzag(1) << 2 | 1);
        write_varint(&mut code, 1 << 62);
        let text = format!("[1,[[0,\"{}\"]]]", to_hex(&code));
        let why = serde_json::from_str::<AckedOffsets>(&text).expect_err("2^62 messages").to_string();
        assert!(why.contains("more than 4294967296 places"), "{why}");
    }
}
