//! What the machine can do: the disk, checksums, and the codec alone.

use crate::Outcome;
use crate::backup::content;
use crate::broker::Broker;
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::Instant;

/// How much is read and written, in MB of the disk's.
const MB: usize = 256;

/// Figures of the machine, one a round.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Writing a file and syncing it, in MB/s.
    pub written: Vec<f64>,
    /// Reading it, past the page cache, in MB/s.
    pub read: Vec<f64>,
    /// CRC-32C on one thread, in MB/s.
    pub crc: Vec<f64>,
    /// SHA-256 on one thread, in MB/s.
    pub sha: Vec<f64>,
    /// zstd 3 of the topic's records in blocks of 1 MB on one thread, in CPU seconds for all of them.
    pub zstd_s: Vec<f64>,
    /// The bytes of archives by topic or codec.
    pub archives: BTreeMap<String, u64>,
}

impl Limits {
    /// Notes how large an archive is.
    pub fn archive(&mut self, name: &str, bytes: u64) {
        self.archives.insert(name.to_owned(), bytes);
    }

    /// How large an archive is, in bytes.
    pub fn of(&self, name: &str) -> f64 {
        self.archives.get(name).map_or(f64::NAN, |bytes| *bytes as f64)
    }

    /// Measures once.
    pub fn round(&mut self, broker: &Broker) -> Outcome<()> {
        let mut block = Vec::new();
        let mut number = 0;
        while block.len() < 1_000_000 {
            let (key, value) = content::record(number);
            block.extend_from_slice(key.as_bytes());
            block.extend_from_slice(value.as_bytes());
            number += 1;
        }
        let file = broker.folder().join("disk");
        let begun = Instant::now();
        let mut out = std::fs::File::create(&file)?;
        (0..MB).try_for_each(|_| out.write_all(&block[..1_000_000]))?;
        out.sync_all()?;
        self.written.push(MB as f64 / begun.elapsed().as_secs_f64());
        nix::fcntl::posix_fadvise(&out, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        let begun = Instant::now();
        let mut piece = vec![0; 1 << 20];
        let mut input = std::fs::File::open(&file)?;
        while input.read(&mut piece)? > 0 {}
        self.read.push(MB as f64 / begun.elapsed().as_secs_f64());
        std::fs::remove_file(&file)?;
        self.crc.push(rate(|| u64::from(crc32c::crc32c(&block))));
        self.sha.push(rate(|| openssl::sha::sha256(&block)[0].into()));
        let blocks = crate::backup::RECORDS as f64 / number as f64;
        let before = thread_s()?;
        let mut packer = zstd::bulk::Compressor::new(3)?;
        for _ in 0..64 {
            std::hint::black_box(packer.compress(&block)?);
        }
        self.zstd_s.push((thread_s()? - before) / 64.0 * blocks);
        Ok(())
    }
}

/// In MB/s, for blocks of a million bytes.
fn rate(work: impl Fn() -> u64) -> f64 {
    let begun = Instant::now();
    for _ in 0..200 {
        std::hint::black_box(work());
    }
    200.0 / begun.elapsed().as_secs_f64()
}

fn thread_s() -> Outcome<f64> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let s = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(s(usage.user_time()) + s(usage.system_time()))
}
