//! `kscen complete`: what the completions of shells ask for.

use super::project::project;
use super::select::tags;
use super::{Exit, Output};
use crate::reference::diagnostics::codes;
use crate::verbs::REGISTRY;
use clap::{Args as ClapArgs, ValueEnum};
use std::collections::BTreeSet;

/// Prints names that can be completed here, one a line.
#[derive(ClapArgs)]
pub struct Args {
    /// Of what.
    #[arg(value_enum)]
    of: Names,
}

/// What has names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Names {
    /// The project's environments.
    Environments,
    /// The tags of the scenarios in the usual folder.
    Tags,
    /// The verbs of the language.
    Verbs,
    /// The codes of messages.
    Codes,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    // From now on its credentials are hidden. One that cannot be used has nothing to offer; why, other commands say.
    let environments = project(None).map(|project| project.names).unwrap_or_default();
    let names: BTreeSet<String> = match args.of {
        Names::Environments => environments,
        Names::Tags => tags(),
        Names::Verbs => REGISTRY.iter().map(|entry| entry.verb.to_owned()).collect(),
        Names::Codes => codes().map(str::to_owned).collect(),
    };
    names.iter().filter(|name| is_plain(name)).for_each(|name| output.data(name));
    Exit::Pass
}

/// Whether a shell takes a name as it is. Bash expands the words that it offers: what is in them would be run.
fn is_plain(name: &str) -> bool {
    let plain = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn only_what_a_shell_takes_as_it_is_is_offered() {
        assert!(["delivery", "kafka-3.6", "größe", "a_b"].into_iter().all(is_plain));
        let others = ["", "two words", "$(touch x)", "`x`", "a;b", "*", "~", "-x", "a\nb", "a'b", "a\\b", "{a,b}"];
        assert!(!others.into_iter().any(is_plain));
    }
}
