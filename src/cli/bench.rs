//! `kscen bench`

use super::{Exit, Output};
use crate::text::Problem;
use clap::{Args as ClapArgs, Parser};
use std::ffi::OsString;
use std::path::PathBuf;

/// Finds how much a cluster takes, in about two minutes, and prints one number with its conditions.
///
/// It runs a scenario that it writes to bench.yaml in the folder of the results, to be copied and changed. `kscen steps search` says how it
/// looks for the rate.
#[derive(ClapArgs)]
pub struct Args {
    /// The environment to measure: a name in kscen.yaml; `local` always exists.
    #[arg(long, value_name = "NAME", env = "KSCEN_ENV")]
    env: Option<String>,
    /// Size of each message.
    #[arg(long, value_name = "SIZE", default_value = "1KiB")]
    size: String,
    /// Which acknowledgement each message waits for.
    #[arg(long, default_value = "all", value_parser = ["all", "1", "0"])]
    acks: String,
    /// Within which time 99 % of the messages have to be acknowledged, from the moment when they are due.
    #[arg(long, value_name = "DURATION", default_value = "100ms")]
    p99: String,
    /// Partitions of the topic that is written.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    partitions: u32,
    /// How long each rate is held. A quota of Kafka is not felt in less than eleven seconds.
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    hold: String,
    /// Folder that gets the scenario and the run's folder.
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
}

/// The scenario; what stands in braces is replaced.
const SCENARIO: &str = include_str!("bench.yaml");

/// A run's arguments, as they are parsed.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct ParsedRun {
    #[command(flatten)]
    run: super::run::Args,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let file = args.results.join("bench.yaml");
    let written = std::fs::create_dir_all(&args.results).and_then(|()| std::fs::write(&file, args.scenario()));
    if let Err(error) = written {
        let problem = Problem::new("file-not-writable", format!("{} cannot be written: {error}", file.display()));
        output.problems(&[problem]);
        return Exit::Usage;
    }
    let mut asked = vec![file.into_os_string(), "--results".into(), args.results.clone().into_os_string()];
    asked.extend(args.env.iter().flat_map(|env| [OsString::from("--env"), OsString::from(env)]));
    match ParsedRun::try_parse_from(asked) {
        Ok(asked) => super::run::run(&asked.run.with_conditions(), output),
        Err(error) => Output::refusal(&error),
    }
}

impl Args {
    fn scenario(&self) -> String {
        let partitions = self.partitions.to_string();
        let values = [
            ("{size}", &self.size),
            ("{acks}", &self.acks),
            ("{p99}", &self.p99),
            ("{partitions}", &partitions),
            ("{hold}", &self.hold),
        ];
        values.into_iter().fold(SCENARIO.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn its_scenario_has_no_mistake() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bench.yaml");
        let alone = Alone::try_parse_from(["bench", "--size", "200B", "--p99", "20ms"]).expect("it is understood");
        std::fs::write(&file, alone.args.scenario()).expect("it can be written");
        let plans = crate::plan::plans(&file, &crate::verbs::LANGUAGE, &crate::plan::PlanOptions::default());
        assert!(plans.is_ok(), "{:?}", plans.err());
        assert!(!alone.args.scenario().contains("{size}"));
    }
}
