//! The readers of what others write, on stable Rust: seeds, and mutations of them. `fuzz/` has the same with coverage.

use crate::goldens::root;
use kscen::testing::fuzz::TARGETS;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

/// Bytes that often matter.
const TOKENS: &[&[u8]] = &[
    b"\x00",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\x0f",
    b"${",
    b"}",
    b"\"",
    b"{",
    b"[",
    b": ",
    b"- ",
    b"\n",
    b"&a ",
    b"*a",
    b"-1",
    b"1e308",
    b"99999999999999999999",
    b"null",
    b"(",
    b"not ",
    b"\\u0000",
];

fn mutated(random: &mut StdRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds.choose(random).cloned().unwrap_or_default();
    for _ in 0..random.random_range(1..8) {
        let at = random.random_range(0..=bytes.len());
        let end = random.random_range(at..=bytes.len().min(at + 64));
        match random.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, TOKENS.choose(random).expect("some").iter().copied())),
            3 => drop(bytes.splice(at..end, TOKENS.choose(random).expect("some").iter().copied())),
            4 => {
                let copy = bytes[at..end].repeat(random.random_range(1..20));
                drop(bytes.splice(at..at, copy));
            }
            _ => {
                let other = seeds.choose(random).expect("some");
                let from = random.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..other.len().min(from + 4_096)]);
            }
        }
    }
    bytes
}

/// `KSCEN_FUZZ` says how many runs each target has: a few by default. A run that fails leaves its input in `fuzz/seeds`, where it
/// is tried again from then on.
#[test]
fn every_reader_takes_any_bytes() {
    let runs = std::env::var("KSCEN_FUZZ").ok().and_then(|text| text.parse::<u64>().ok());
    for (name, target) in TARGETS {
        let folder = root().join("fuzz/seeds").join(name);
        let mut files: Vec<_> =
            std::fs::read_dir(&folder).expect("seeds").flatten().map(|entry| entry.path()).collect();
        files.sort();
        let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).expect("a seed")).collect();
        assert!(!seeds.is_empty(), "{name} has no seed");
        let tried = |bytes: &[u8], run: String| {
            if std::panic::catch_unwind(|| target(bytes)).is_err() {
                let kept = folder.join(format!("failed-{run}"));
                std::fs::write(&kept, bytes).expect("it can be kept");
                panic!("{name} failed on {}", kept.display());
            }
        };
        seeds.iter().zip(&files).for_each(|(seed, file)| {
            tried(seed, file.file_name().unwrap_or_default().to_string_lossy().into_owned());
        });
        let began = std::time::Instant::now();
        for run in 0..runs.unwrap_or(100) {
            let mut random = StdRng::seed_from_u64(run);
            tried(&mutated(&mut random, &seeds), run.to_string());
        }
        if let Some(runs) = runs {
            println!("{name}: {} seeds, {runs} mutations in {:.0} s", seeds.len(), began.elapsed().as_secs_f64());
        }
    }
}
