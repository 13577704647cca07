//! A record from the events of its run: for runs that were cut off before they could write it.

use super::stored::{EVENTS, MOST_VALUES};
use crate::ground::{input, json};
use crate::record::event::VERSION;
use crate::record::{Event, EventKind, Record, RecordFold};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Folds the events of a run's folder. A last line that was not finished is left out; lines that cannot be read are marked.
///
/// # Errors
/// Says why there is no record.
pub(super) fn rebuilt(folder: &Path, limit: u64) -> Result<Record, String> {
    let path = folder.join(EVENTS);
    // Of more than the limit the beginning is read.
    let file = input::open(&path, u64::MAX).map_err(|error| format!("{EVENTS}: {error}"))?;
    let mut lines = BufReader::new(file.take(limit));
    let (mut folded, mut line, mut unreadable) = (RecordFold::default(), Vec::new(), 0_usize);
    let (mut at, mut values) = (0.0, 0);
    loop {
        line.clear();
        lines.read_until(b'\n', &mut line).map_err(|error| format!("{EVENTS} cannot be read: {error}"))?;
        if line.last() != Some(&b'\n') {
            break;
        }
        values += json::values(&line);
        if values > MOST_VALUES {
            return Err(format!("{EVENTS} has more than {MOST_VALUES} values"));
        }
        match serde_json::from_slice::<Event>(&line) {
            Ok(event) if event.v > VERSION => {
                return Err(format!(
                    "{EVENTS} has version {}, this kscen reads up to {VERSION}: use a newer kscen",
                    event.v
                ));
            }
            Ok(event) => {
                at = event.at;
                folded.take(&event);
            }
            Err(_) => unreadable += 1,
        }
    }
    if unreadable > 0
        && let Some(run) = folded.record().map(|record| record.run.id.clone())
    {
        let text = format!("{unreadable} lines of {EVENTS} cannot be read: what they said is missing");
        folded.take(&Event { v: VERSION, run, at, kind: EventKind::Warning { text } });
    }
    folded.into_record().ok_or_else(|| "it holds no run: the run ended before its first event was written".to_owned())
}
