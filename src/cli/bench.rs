//! `kscen bench`

use super::{Exit, Output};
use crate::ground::{input, private};
use crate::text::Problem;
use clap::{Args as ClapArgs, Parser};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Finds how much a cluster takes, in about two minutes, and prints one number with its conditions.
///
/// It runs a scenario that it writes to bench.yaml in the folder of the results, to be copied and changed: one that was changed there
/// stays, and bench-2.yaml is written. `kscen steps search` says how it looks for the rate. One that was interrupted goes on with
/// `kscen run results/bench.yaml --resume results/RUN`.
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
/// Most bytes of a scenario that may be its own.
const LONGEST: u64 = 1 << 16;
/// So many names are tried for it.
const NAMES: u32 = 100;

/// A run's arguments, as they are parsed.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct ParsedRun {
    #[command(flatten)]
    run: super::run::Args,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let file = place(&args.results);
    let written = private::create_dir_all(&args.results)
        .and_then(|()| private::replace(&file, |writer| writer.write_all(args.scenario().as_bytes())));
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

/// Where the scenario is written: not over one that somebody has changed.
fn place(folder: &Path) -> PathBuf {
    let name = |number: u32| match number {
        1 => "bench.yaml".to_owned(),
        _ => format!("bench-{number}.yaml"),
    };
    let mut places = (1..=NAMES).map(|number| folder.join(name(number)));
    places.find(|path| is_free(path)).unwrap_or_else(|| folder.join(name(NAMES + 1)))
}

/// Whether a file may be replaced, or is none: what is no regular file is refused when it is written.
fn is_free(path: &Path) -> bool {
    match std::fs::symlink_metadata(path) {
        Ok(told) if told.is_file() => input::text(path, LONGEST).is_ok_and(|text| is_own(&text)),
        // Whoever writes there says what is in the way.
        _ => true,
    }
}

/// Whether a text is as `kscen bench` has written it: its last line tells the sum of the others.
fn is_own(text: &str) -> bool {
    text.rfind("# ").is_some_and(|at| marked(text[..at].to_owned()) == text)
}

/// A text with the line that tells its sum.
fn marked(text: String) -> String {
    let sum = crc32fast::hash(text.as_bytes());
    text + &format!("# {sum:08x}: as `kscen bench` wrote it; once it is changed, another file is written\n")
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
        marked(values.into_iter().fold(SCENARIO.to_owned(), |text, (name, value)| text.replace(name, value)))
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

    #[test]
    fn a_scenario_that_somebody_has_changed_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let (at, second) = (|name: &str| folder.path().join(name), folder.path().join("bench-2.yaml"));
        let alone = |size: &str| Alone::try_parse_from(["bench", "--size", size]).expect("it is understood").args;
        assert_eq!(place(folder.path()), at("bench.yaml"));
        std::fs::write(at("bench.yaml"), alone("1KiB").scenario()).expect("it can be written");
        assert_eq!(place(folder.path()), at("bench.yaml"), "whatever it measured, nobody has touched it");
        std::fs::write(at("bench.yaml"), alone("1KiB").scenario().replace("1KiB", "2KiB")).expect("it can be written");
        assert_eq!(place(folder.path()), second);
        std::fs::write(&second, "name: mine\n").expect("it can be written");
        assert_eq!(place(folder.path()), at("bench-3.yaml"));
        // What is no file is refused by whoever writes.
        std::fs::remove_file(at("bench.yaml")).expect("it is there");
        std::os::unix::fs::symlink("treasure", at("bench.yaml")).expect("a link");
        assert_eq!(place(folder.path()), at("bench.yaml"));
    }
}
