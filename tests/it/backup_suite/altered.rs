//! Archives in which one thing is not as it was, and everything else fits it: batches, counts, gaps, digests, sums. What is found then is found by what a
//! reader sees, not by a checksum.

use kscen::testing::backup::batch::{BatchKind, BatchRecord, Batches, Builder, Codec, Compressor};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// What is altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A record is not there.
    LeftOut,
    /// A tombstone has become an empty value.
    Emptied,
    /// The first two headers of a record have changed places.
    Reordered,
    /// A group goes on one record later.
    Shifted,
    /// A byte of a value is another one.
    Flipped,
}

/// An archive as its files say.
struct Altered<'a> {
    folder: &'a Path,
    /// Every manifest, the oldest first.
    manifests: Vec<(PathBuf, Value)>,
}

/// Alters an archive.
pub(super) fn alter(folder: &Path, change: Change) {
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder.join("manifests")).expect("manifests").flatten().map(|entry| entry.path()).collect();
    names.sort();
    let read = |name: PathBuf| {
        let manifest = serde_json::from_slice(&fs::read(&name).expect("a manifest")).expect("JSON");
        (name, manifest)
    };
    let mut altered = Altered { folder, manifests: names.into_iter().map(read).collect() };
    match change {
        Change::Shifted => altered.shift(),
        change => altered.rewrite(change),
    }
    altered.write();
}

impl Altered<'_> {
    /// The segments of a partition as the newest manifest has them: their files.
    fn segments(partition: &Value) -> Vec<String> {
        let segments = partition["segments"].as_array().expect("segments");
        segments.iter().map(|segment| segment["file"].as_str().expect("a file").to_owned()).collect()
    }

    /// Every partition of every manifest.
    fn partitions(manifest: &mut Value) -> impl Iterator<Item = &mut Value> {
        let topics = manifest["topics"].as_array_mut().expect("topics");
        topics.iter_mut().flat_map(|topic| topic["partitions"].as_array_mut().expect("partitions"))
    }

    /// Rewrites the first record to which the change applies.
    fn rewrite(&mut self, change: Change) {
        let newest = &mut self.manifests.last_mut().expect("a manifest").1;
        let files: Vec<String> = Self::partitions(newest).flat_map(|partition| Self::segments(partition)).collect();
        let found = files.into_iter().find_map(|file| {
            let bytes = fs::read(self.folder.join(&file)).expect("a segment");
            rewritten(&bytes, change).map(|(bytes, offset)| (file, bytes, offset))
        });
        let (file, bytes, offset) = found.unwrap_or_else(|| panic!("no record for {change:?}"));
        fs::write(self.folder.join(&file), &bytes).expect("written");
        let headers: Vec<_> = Batches::new(&bytes).map(|batch| *batch.expect("a batch").header()).collect();
        for (_, manifest) in &mut self.manifests {
            for partition in Self::partitions(manifest) {
                let Some(at) = Self::segments(partition).iter().position(|other| *other == file) else { continue };
                let segment = &mut partition["segments"][at];
                segment["batches"] = json!(headers.len());
                segment["records"] = json!(headers.iter().map(|header| header.count).sum::<i32>());
                segment["largest"] = json!(headers.iter().map(|header| header.size).max());
                segment["bytes"] = json!(bytes.len());
                segment["sha256"] = json!(sum(&bytes));
                if change == Change::LeftOut {
                    let gap = json!({ "from": offset, "until": offset + 1, "reason": "unexplained" });
                    partition["gaps"].as_array_mut().expect("gaps").push(gap);
                    partition["missing"] = json!(partition["missing"].as_u64().expect("a count") + 1);
                }
            }
        }
    }

    /// Lets the first group that has something left to read leave out the next record. Markers of transactions are none.
    fn shift(&mut self) {
        let newest = &mut self.manifests.last_mut().expect("a manifest").1;
        let files: Vec<(String, Vec<String>)> = Self::partitions(newest)
            .map(|partition| (partition["partition"].to_string(), Self::segments(partition)))
            .collect();
        let next = |number: &str, offset: i64| {
            let own = files.iter().filter(|(partition, _)| partition == number).flat_map(|(_, files)| files);
            own.into_iter().find_map(|file| {
                let bytes = fs::read(self.folder.join(file)).expect("a segment");
                let headers = Batches::new(&bytes).map(|batch| *batch.expect("a batch").header());
                let mut data = headers.filter(|header| !header.attributes.is_control());
                data.find(|header| header.next_offset() > offset).map(|header| header.base_offset.max(offset))
            })
        };
        for group in newest["groups"].as_array_mut().expect("groups") {
            for offsets in group["offsets"].as_object_mut().expect("topics").values_mut() {
                for (number, committed) in offsets.as_object_mut().expect("partitions") {
                    let offset = committed["offset"].as_i64().expect("an offset");
                    if let Some(next) = next(number, offset) {
                        committed["offset"] = json!(next + 1);
                        return;
                    }
                }
            }
        }
        panic!("no group has anything left to read");
    }

    /// Writes the manifests, each with the digest of the one before, and the sums.
    fn write(self) {
        let mut before = None;
        for (path, mut manifest) in self.manifests {
            if let Some(before) = before {
                manifest["previous"] = json!(before);
            }
            let bytes = serde_json::to_vec_pretty(&manifest).expect("JSON");
            before = Some(sum(&bytes));
            fs::write(path, bytes).expect("written");
        }
        let sums = fs::read_to_string(self.folder.join("SHA256SUMS")).expect("the sums");
        let lines = sums.lines().map(|line| {
            let (_, name) = line.split_once("  ").expect("a sum and a name");
            format!("{}  {name}\n", sum(&fs::read(self.folder.join(name)).expect("a file")))
        });
        fs::write(self.folder.join("SHA256SUMS"), lines.collect::<String>()).expect("written");
    }
}

fn sum(bytes: &[u8]) -> String {
    openssl::sha::sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A segment in which the first record to which the change applies is altered, and the offset of that record. Neither the first nor the last record of a
/// batch, so that the segment begins and ends where it did.
fn rewritten(bytes: &[u8], change: Change) -> Option<(Vec<u8>, i64)> {
    let (mut out, mut altered) = (Vec::new(), None);
    for batch in Batches::new(bytes) {
        let batch = batch.expect("a batch");
        let header = *batch.header();
        let mut scratch = Vec::new();
        let records: Vec<BatchRecord<'_>> =
            batch.records(&mut scratch).expect("records").map(|record| record.expect("a record")).collect();
        let applies = |record: &BatchRecord<'_>| match change {
            Change::LeftOut => record.value.is_some(),
            Change::Emptied => record.value.is_none(),
            Change::Reordered => record.headers().len() > 1,
            Change::Flipped => record.value.is_some_and(|value| value.len() > 10),
            Change::Shifted => false,
        };
        let inner = records.len().saturating_sub(1);
        let hit = records.iter().take(inner).skip(1).find(|record| applies(record)).map(|record| record.offset);
        let Some(hit) = hit.filter(|_| altered.is_none() && !header.attributes.is_control()) else {
            out.extend_from_slice(batch.bytes());
            continue;
        };
        altered = Some(hit);
        let mut compressor = Compressor::new(header.attributes.codec().unwrap_or(Codec::None));
        let mut builder = Builder::new(BatchKind::of(&header));
        for record in &records {
            if record.offset != hit {
                builder.copy(record);
                continue;
            }
            let mut headers: Vec<_> = record.headers().collect();
            match change {
                // A batch holds offsets that follow each other.
                Change::LeftOut => _ = builder.finish(&mut compressor, &mut out).expect("a batch"),
                Change::Emptied => {
                    builder.add(record.offset, record.timestamp, record.key, Some(&[]), headers.into_iter());
                }
                Change::Flipped => {
                    let mut value = record.value.expect("it applies").to_vec();
                    // Near the end, where no identity stands.
                    let at = value.len() - 3;
                    value[at] ^= 1;
                    builder.add(record.offset, record.timestamp, record.key, Some(&value), headers.into_iter());
                }
                _ => {
                    headers.swap(0, 1);
                    builder.add(record.offset, record.timestamp, record.key, record.value, headers.into_iter());
                }
            }
        }
        builder.finish(&mut compressor, &mut out).expect("a batch");
    }
    altered.map(|offset| (out, offset))
}
