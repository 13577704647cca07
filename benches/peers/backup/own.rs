//! kscen's own runs.

use crate::Outcome;
use crate::backup::{BackupFigures, content, folder, timed};
use crate::broker::Broker;
use crate::process::{Taken, run};
use crate::scenario;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A command of kscen against the broker.
pub fn kscen(broker: &Broker, args: &[&str]) -> Outcome<Taken> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kscen"));
    command.args(args).current_dir(broker.folder()).env("XDG_STATE_HOME", broker.folder().join("state"));
    run(command, |_| false)
}

/// Backup, and restore into another topic.
pub fn round(broker: &Broker, figures: &mut BackupFigures, topic: &str) -> Outcome<()> {
    let root = folder(broker)?;
    let archive = root.join("archive");
    let place = archive.to_string_lossy().into_owned();
    let (sample, _) = timed(broker, || kscen(broker, &["backup", topic, "--to", &place, "--compression", "zstd"]))?;
    figures.enter(&format!("backup {topic}"), "kscen", sample);
    let copy = scenario::topic("restored");
    let (sample, _) = timed(broker, || kscen(broker, &["restore", &place, &format!("{topic}={copy}")]))?;
    figures.enter(&format!("restore {topic}"), "kscen", sample);
    broker.delete(&copy)?;
    figures.limits.archive(topic, size(&archive)?);
    if topic == "plain" {
        codecs(broker, figures, &root)?;
    }
    Ok(std::fs::remove_dir_all(root)?)
}

/// The same topic with each codec: what it takes, and what it saves. The uncompressed archive is read from the disk and checked, too.
fn codecs(broker: &Broker, figures: &mut BackupFigures, root: &Path) -> Outcome<()> {
    for codec in ["none", "gzip", "snappy", "lz4"] {
        let archive = root.join(codec);
        let place = archive.to_string_lossy().into_owned();
        let (sample, _) =
            timed(broker, || kscen(broker, &["backup", "plain", "--to", &place, "--compression", codec]))?;
        figures.enter("codecs", codec, sample);
        figures.limits.archive(codec, size(&archive)?);
        if codec == "none" {
            forget(&archive)?;
            let (sample, _) = timed(broker, || kscen(broker, &["verify", &place, "--level", "full"]))?;
            figures.enter("verify none", "kscen", sample);
        }
        let copy = scenario::topic("restored");
        let (sample, _) = timed(broker, || kscen(broker, &["restore", &place, &format!("plain={copy}")]))?;
        figures.enter("restore codecs", codec, sample);
        broker.delete(&copy)?;
    }
    Ok(())
}

/// Drops the files below a folder from the page cache, so that they are read from the disk.
fn forget(folder: &Path) -> Outcome<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            forget(&entry.path())?;
            continue;
        }
        let file = std::fs::File::open(entry.path())?;
        file.sync_all()?;
        nix::fcntl::posix_fadvise(&file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    }
    Ok(())
}

/// A backup of a topic with very many partitions: its memory is that of those that are read at the same time.
pub fn many(broker: &Broker, figures: &mut BackupFigures) -> Outcome<()> {
    const PARTITIONS: i32 = 1000;
    broker.create_with("many", PARTITIONS, &[])?;
    let producer = content::producer(&broker.bootstrap(), "none")?;
    for partition in 0..PARTITIONS {
        let records: Vec<_> =
            (0..200).map(|at| content::record(u64::from(partition.unsigned_abs()) * 200 + at)).collect();
        content::send_to(&producer, "many", &records, |_| partition)?;
    }
    let root = folder(broker)?;
    let place = root.join("archive").to_string_lossy().into_owned();
    let (sample, _) = timed(broker, || kscen(broker, &["backup", "many", "--to", &place]))?;
    figures.enter("backup 1000 partitions", "kscen", sample);
    broker.delete("many")?;
    Ok(std::fs::remove_dir_all(root)?)
}

/// A million records while ten thousand a second are being written: backup, restore, and verification of the restored topic.
pub fn under_load(broker: &Broker, figures: &mut BackupFigures) -> Outcome<()> {
    const MILLION: u64 = 1_000_000;
    broker.create("million")?;
    let producer = content::producer(&broker.bootstrap(), "none")?;
    for first in (0..MILLION).step_by(20_000) {
        let records: Vec<_> = (first..first + 20_000).map(content::record).collect();
        content::send(&producer, "million", &records, first)?;
    }
    let over = Arc::new(AtomicBool::new(false));
    let (heard, bootstrap) = (over.clone(), broker.bootstrap());
    let load = std::thread::spawn(move || {
        let Ok(producer) = content::producer(&bootstrap, "none") else { return 0 };
        let records: Vec<_> = (0..1000).map(content::record).collect();
        let (begun, mut sent) = (Instant::now(), 0);
        while !heard.load(Ordering::Relaxed) {
            if content::send(&producer, "million", &records, sent).is_err() {
                return 0;
            }
            sent += 1000;
            std::thread::sleep(Duration::from_millis(sent / 10).saturating_sub(begun.elapsed()));
        }
        sent
    });
    let root = folder(broker)?;
    let place = root.join("archive").to_string_lossy().into_owned();
    for (task, args) in [
        ("backup", &["backup", "million", "--to", &place][..]),
        ("restore", &["restore", &place, "million=again"]),
        ("verify target", &["verify", &place, "again", "--level", "target"]),
    ] {
        let (sample, _) = timed(broker, || kscen(broker, args))?;
        figures.enter("a million under load", task, sample);
    }
    over.store(true, Ordering::Relaxed);
    if load.join().unwrap_or(0) == 0 {
        return Err("nothing was written meanwhile".into());
    }
    broker.delete("million")?;
    broker.delete("again")?;
    Ok(std::fs::remove_dir_all(root)?)
}

/// The bytes of the segments below a folder.
pub fn size(folder: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let log = entry.path().extension().is_some_and(|extension| extension == "log");
        bytes += if entry.file_type()?.is_dir() {
            size(&entry.path())?
        } else if log {
            entry.metadata()?.len()
        } else {
            0
        };
    }
    Ok(bytes)
}
