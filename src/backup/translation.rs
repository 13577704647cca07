//! Where the records of a source partition are in the restored one: runs of offsets that moved by the same distance.
//!
//! As a file: for each run its first source offset, its first target offset and its length, 8 bytes each, big-endian, ascending;
//! then the end of the restored partition in 8 bytes, and a CRC-32C of all that in 4.

use std::fmt;

/// Bytes of a run in a file.
const RUN: usize = 24;
/// Bytes behind the runs: the end, and the checksum.
const TRAILER: usize = 12;
/// The largest offset, and the longest run.
const LARGEST: i64 = 1 << 53;

/// Offsets that follow each other in the source and in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRun {
    /// The first offset in the source.
    pub source: i64,
    /// The first offset in the target.
    pub target: i64,
    /// How many there are.
    pub length: i64,
}

/// The offsets of one partition. Exact at every offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    runs: Vec<OffsetRun>,
    end: i64,
}

/// Why bytes are no translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsound;

impl fmt::Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is not a sound table of offsets: its length, its order or its checksum is wrong")
    }
}

impl std::error::Error for Unsound {}

impl Translation {
    /// Without records, where the target partition begins at `start`.
    pub fn starting_at(start: i64) -> Self {
        Self { runs: Vec::new(), end: start }
    }

    /// Adds records behind all others.
    pub fn push(&mut self, source: i64, target: i64, length: i64) {
        match self.runs.last_mut() {
            Some(run) if run.source + run.length == source && run.target + run.length == target => run.length += length,
            _ => self.runs.push(OffsetRun { source, target, length }),
        }
        self.end = target + length;
    }

    /// Sets the offset behind the last one that is taken in the target, where that is no record.
    pub fn end_at(&mut self, end: i64) {
        self.end = end;
    }

    /// The runs, ascending.
    pub fn runs(&self) -> &[OffsetRun] {
        &self.runs
    }

    /// The offset behind the last one that is taken in the target.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// The source offset behind the last record.
    pub fn source_end(&self) -> i64 {
        self.runs.last().map_or(0, |run| run.source.saturating_add(run.length))
    }

    /// How many records there are.
    pub fn records(&self) -> i64 {
        self.runs.iter().map(|run| run.length).fold(0, i64::saturating_add)
    }

    /// Where the record with this source offset is; `None` where it was not restored.
    pub fn record(&self, source: i64) -> Option<i64> {
        let run = self.runs[..self.runs.partition_point(|run| run.source <= source)].last()?;
        (source < run.source + run.length).then(|| run.target + source - run.source)
    }

    /// What a reader who would have read `source` next has to read next: the first restored record at that offset or behind it,
    /// or the end.
    pub fn position(&self, source: i64) -> i64 {
        let next = self.runs.partition_point(|run| run.source + run.length <= source);
        self.runs.get(next).map_or(self.end, |run| run.target + source.saturating_sub(run.source).max(0))
    }

    /// The bytes of a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.runs.len() * RUN + TRAILER);
        for run in &self.runs {
            for field in [run.source, run.target, run.length] {
                out.extend_from_slice(&field.to_be_bytes());
            }
        }
        out.extend_from_slice(&self.end.to_be_bytes());
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_be_bytes());
        out
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// They are not what was written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unsound> {
        let (rest, checksum) = bytes.split_last_chunk::<4>().ok_or(Unsound)?;
        if crc32c::crc32c(rest) != u32::from_be_bytes(*checksum) {
            return Err(Unsound);
        }
        let (rest, end) = rest.split_last_chunk::<8>().ok_or(Unsound)?;
        let end = i64::from_be_bytes(*end);
        let (runs, left) = rest.as_chunks::<RUN>();
        let runs: Vec<OffsetRun> = runs
            .iter()
            .map(|run| {
                let [source, target, length] = [0, 8, 16].map(|at| {
                    let mut field = [0; 8];
                    field.copy_from_slice(&run[at..at + 8]);
                    i64::from_be_bytes(field)
                });
                OffsetRun { source, target, length }
            })
            .collect();
        let sane = |at: i64| (0..=LARGEST).contains(&at);
        let bounded = runs.iter().all(|run| sane(run.source) && sane(run.target) && sane(run.length)) && sane(end);
        let ordered = bounded
            && runs.windows(2).all(|pair| {
                pair[0].source + pair[0].length <= pair[1].source && pair[0].target + pair[0].length <= pair[1].target
            });
        (left.is_empty() && ordered).then_some(Self { runs, end }).ok_or(Unsound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Translation {
        let mut table = Translation::starting_at(0);
        table.push(100, 0, 3);
        table.push(103, 3, 2);
        table.push(110, 5, 1);
        table
    }

    #[test]
    fn every_offset_is_exact_inside_of_runs_and_between_them() {
        let table = table();
        assert_eq!(table.runs().len(), 2);
        assert_eq!((table.end(), table.records()), (6, 6));
        let at = |source| (table.record(source), table.position(source));
        assert_eq!(at(7), (None, 0));
        assert_eq!(at(100), (Some(0), 0));
        assert_eq!(at(104), (Some(4), 4));
        assert_eq!(at(105), (None, 5));
        assert_eq!(at(110), (Some(5), 5));
        assert_eq!(at(111), (None, 6));
    }

    #[test]
    fn a_file_is_read_back_and_a_changed_one_is_refused() {
        let bytes = table().to_bytes();
        assert_eq!(Translation::from_bytes(&bytes), Ok(table()));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Translation::from_bytes(&changed), Err(Unsound), "byte {at}");
        }
        assert_eq!(Translation::from_bytes(&bytes[..bytes.len() - RUN]), Err(Unsound));
    }
}
