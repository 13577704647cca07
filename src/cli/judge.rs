//! `kscen judge`

use super::report::name_unusable;
use super::{Exit, Output};
use crate::judge::finding::Finding;
use crate::judge::stored::again;
use crate::report::load;
use clap::Args as ClapArgs;
use std::path::PathBuf;

/// Judges the deliveries of messages and of database changes again, from the accounts that a run has stored, and says whether the same
/// follows. Where less is stored than that takes, as of database changes in results of older versions, it says of how many.
///
/// Exits as the run did where the same follows, and with 3 where it does not or the accounts cannot be read.
#[derive(ClapArgs)]
pub struct Args {
    /// Results: a result.json, a folder of a run, of a suite, of many.
    #[arg(required = true)]
    results: Vec<PathBuf>,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let found = load(&args.results);
    name_unusable(&found, output);
    if found.runs.is_empty() {
        output.line("there is no result to judge");
        return if found.unusable.is_empty() { Exit::Nothing } else { Exit::Broken };
    }
    let mut exit = if found.unusable.is_empty() { Exit::Pass } else { Exit::Broken };
    for stored in &found.runs {
        let record = &stored.record;
        let finding = again(record, &stored.folder);
        let (symbol, own) = match &finding {
            Finding::Same { .. } | Finding::Nothing { .. } => (output.symbol("✓", "ok"), Exit::of(record)),
            Finding::Differs { .. } | Finding::Missing(_) | Finding::Unreadable { .. } => {
                (output.symbol("✗", "!!"), Exit::Broken)
            }
        };
        output.line(&format!("{symbol} {}: {finding}", record.run.id));
        exit = exit.worse(own);
    }
    exit
}
