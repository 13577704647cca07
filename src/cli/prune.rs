//! `kscen archive prune`

use super::{Exit, Output};
use crate::backup::prune::{Pruned, Retention, prunable, prune};
use crate::backup::{Archive, ArchiveError};
use crate::ground::plural;
use crate::scenario::units::Length;
use clap::Args as ClapArgs;

/// Which generations stay.
#[derive(ClapArgs)]
pub struct Args {
    /// The archive: a folder, or `s3://BUCKET/PREFIX`.
    #[arg(value_name = "ARCHIVE")]
    pub(super) archive: String,
    /// Keeps so many generations, the newest; one whose backup was interrupted stays beside them.
    #[arg(long, value_name = "N", required_unless_present = "older_than", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Removes only generations that ended longer ago than this, such as `30d`. The newest one stays whatever its age.
    #[arg(long, value_name = "DURATION")]
    older_than: Option<Length>,
    /// Says what would be removed, and removes nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(archive: &Archive, args: &Args, output: &Output) -> Result<Exit, ArchiveError> {
    let now = jiff::Timestamp::now().as_millisecond();
    let age = args.older_than.map(|length| i64::try_from(length.0.as_millis()).unwrap_or(i64::MAX));
    let retention = Retention { newest: args.keep, since: age.map(|age| now.saturating_sub(age)) };
    let pruned = if args.dry_run { prunable(archive, retention)? } else { prune(archive, retention, now)? };
    tell(&pruned, args.dry_run, output);
    Ok(Exit::Pass)
}

fn tell(pruned: &Pruned, dry_run: bool, output: &Output) {
    let files = |count: usize, bytes: u64| format!("{}, {bytes} bytes", plural(count, "file"));
    for gone in &pruned.generations {
        let time = jiff::Timestamp::from_millisecond(gone.written).map(|time| time.to_string()).unwrap_or_default();
        output.data(&format!("generation {} of {time}: {}", gone.generation, files(gone.manifests, gone.bytes)));
    }
    if pruned.checkpoints > 0 {
        let all = files(pruned.checkpoints, pruned.checkpoint_bytes);
        output.data(&format!("checkpoints of the oldest generation that stays: {all}"));
    }
    for gone in &pruned.topics {
        let id = gone.id.as_deref().unwrap_or("none");
        let all = files(gone.files, gone.bytes);
        output.data(&format!("topic {} (id {id}), which was deleted and created again: {all}", gone.name));
    }
    if !pruned.strays.is_empty() {
        let all = files(pruned.strays.len(), pruned.stray_bytes);
        output.data(&format!("left-overs of something that was interrupted: {all}"));
        pruned.strays.iter().for_each(|name| output.data(&format!("  {name}")));
    }
    let word = if dry_run { output.paint(33, "would remove") } else { output.paint(32, "removed") };
    let generations = plural(pruned.generations.len(), "generation");
    output.line(&format!("{word}: {generations}; {}", files(pruned.files(), pruned.bytes())));
}
