//! `kscen schema`

use super::{Exit, Output};
use crate::schemas;
use crate::verbs::LANGUAGE;
use clap::{Args as ClapArgs, ValueEnum};

/// Prints the JSON schema of a file format.
#[derive(ClapArgs)]
pub struct Args {
    /// Which format.
    #[arg(value_enum, default_value_t = Which::Scenario)]
    which: Which,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Scenario files.
    Scenario,
    /// Fragments, which `include` brings in.
    Fragment,
    /// The project file, kscen.yaml.
    Project,
    /// result.json.
    Result,
    /// suite.json.
    Suite,
    /// The events of `--format json`.
    Event,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let name = match args.which {
        Which::Scenario => "scenario",
        Which::Fragment => "fragment",
        Which::Project => "project",
        Which::Result => "result",
        Which::Suite => "suite",
        Which::Event => "event",
    };
    if let Some((_, schema)) = schemas::all(&LANGUAGE).into_iter().find(|(known, _)| *known == name) {
        output.json(&schemas::text(&schema));
    }
    Exit::Pass
}
