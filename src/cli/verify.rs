//! `kscen verify`

use super::backup::ProgressFormat;
use super::identity::IdentityArgs;
use super::{Exit, Output, control, restore};
use crate::backup::restore::requests;
use crate::backup::{Archive, Identities, Level, Store, VerifyReport, store_at, target, verify};
use crate::ground::plural;
use clap::{Args as ClapArgs, ValueEnum};
use std::path::PathBuf;
use std::sync::Arc;

/// Checks that an archive is what it was when it was written, or that a restored topic is what the archive has.
///
/// Exit code 0 says that it is sound, 1 that something is wrong with it: each damaged file is named, with the byte from which on it
/// is damaged, or the first record of each partition that is not the same.
#[derive(ClapArgs)]
pub struct Args {
    /// The archive: a folder, or `s3://BUCKET/PREFIX`.
    #[arg(value_name = "ARCHIVE")]
    archive: String,
    /// Topics as they are called where they were restored, with `--level target`; all that were restored where absent.
    #[arg(value_name = "TOPIC")]
    topics: Vec<String>,
    /// How closely it is looked at.
    #[arg(long, value_enum, default_value_t = Depth::Full)]
    level: Depth,
    /// How many partitions are read at the same time.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    parallel: u8,
    /// The folder for checkpoints that the restore had; kscen's own where absent.
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// Compares ACLs that name the topic with `--level target`, also where the restore did not give them.
    #[arg(long)]
    acls: bool,
    #[command(flatten)]
    identity: IdentityArgs,
    /// The environment with the restored topics: a name in kscen.yaml; `local` always exists.
    #[arg(long, value_name = "NAME", env = "KSCEN_ENV")]
    env: Option<String>,
    /// How what is found is written.
    #[arg(long, value_enum, default_value_t = ProgressFormat::Human)]
    format: ProgressFormat,
}

/// How closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Depth {
    /// The chain of manifests, and the lengths of all files.
    Quick,
    /// The SHA-256 of every file, and the checksum of every batch.
    Full,
    /// Every record is decoded; counts, gaps and transactions are computed again.
    Deep,
    /// A restored topic is read again through librdkafka, and compared with the archive record by record; and so are its
    /// configuration, its ACLs and the places of groups, as far as the restore gave them back.
    Target,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let found = match store_at(&args.archive).and_then(|store| Ok((store, args.identity.read()?))) {
        Ok(found) => found,
        Err(reason) => {
            output.line(&reason);
            return Exit::Usage;
        }
    };
    let level = match args.level {
        Depth::Target => return target(args, found, output),
        Depth::Quick => Level::Quick,
        Depth::Full => Level::Full,
        Depth::Deep => Level::Deep,
    };
    let opened = Archive::open(found.0).map(|archive| archive.with_identities(found.1));
    match opened.and_then(|archive| verify(&archive, level, args.parallel.into())) {
        Ok(report) => {
            match args.format {
                // A report is texts and numbers, which can always be written.
                ProgressFormat::Json => output.json(&serde_json::to_string(&report).unwrap_or_default()),
                ProgressFormat::Human => tell(&report, output),
            }
            if report.problems.is_empty() { Exit::Pass } else { Exit::Fail }
        }
        Err(error) => {
            output.line(&format!("{}: {error}", output.paint(31, "error")));
            Exit::Broken
        }
    }
}

/// Compares restored topics with the archive.
fn target(args: &Args, found: (Arc<dyn Store>, Identities), output: &Output) -> Exit {
    control::run(args.env.as_deref(), output, async |project| {
        let (archive, cluster, properties) = restore::open(&project, found).await?;
        let state = restore::state(args.state.as_ref(), &archive, &cluster).await?;
        let mut verified = Vec::new();
        for mut request in requests(&state, &args.topics).map_err(|error| restore::failed(&error))? {
            request.acls = args.acls;
            let done = target::verify(&archive, &cluster, &properties, &request).await;
            verified.extend(done.map_err(|error| restore::failed(&error))?);
        }
        Ok(restore::report(&verified, args.format, output))
    })
}

fn tell(report: &VerifyReport, output: &Output) {
    for problem in &report.problems {
        let at = problem.at.map(|at| format!(" at byte {at}")).unwrap_or_default();
        output.data(&format!("{}: {}{at}: {}", output.paint(31, "damaged"), problem.file, problem.reason));
    }
    let read = match report.level {
        Level::Quick => String::new(),
        Level::Full => format!(", {} batches", report.batches),
        Level::Deep => format!(", {} batches, {} records", report.batches, report.records),
    };
    let word = if report.problems.is_empty() { output.paint(32, "sound") } else { output.paint(31, "not sound") };
    let count = usize::try_from(report.segments).unwrap_or(usize::MAX);
    output.line(&format!("{word}: {}{read}", plural(count, "file")));
    if let Some(words) = report.unfinished() {
        output.line(&format!("note: {words}"));
    }
    if report.sealed > 0 {
        let sealed = usize::try_from(report.sealed).unwrap_or(usize::MAX);
        output.line(&format!(
            "note: {} not opened, because encrypted: length and SHA-256 are right where nothing else is said; --identity FILE opens them",
            plural(sealed, "file")
        ));
    }
}
