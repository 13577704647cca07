//! `kscen selfcheck`

use super::project::project;
use super::stage::ProjectStage;
use super::{Exit, Output};
use crate::accounting::Class;
use crate::environment::{Grant, Needs};
use crate::execute::EnvironmentSource;
use crate::kafka::LogSink;
use crate::project::Project;
use crate::project::store_selfcheck;
use crate::record::{RunClock, Stamp};
use crate::selfcheck::{Round, Workers, check};
use crate::worker::{Ensemble, LocalLink, WorkerLink};
use clap::Args as ClapArgs;

/// Injects known loss, duplication, reordering, corruption and more into a real log, and proves that each is reported exactly.
#[derive(ClapArgs)]
pub struct Args {
    /// The environment to check on.
    #[arg(long, value_name = "NAME", env = "KSCEN_ENV")]
    env: Option<String>,
    /// Rounds with anomalies, each with its own mix; a clean round comes first.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
    /// Processes on this machine that send beside what this one injects, and of which up to three read all of it.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=128))]
    workers: u32,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let loaded = project(args.env.as_deref())
        .and_then(|project| project.permits(&[Grant::Produce, Grant::Topics]).map(|()| project));
    let project = match loaded {
        Ok(project) => project,
        Err(problems) => {
            output.problems(&problems);
            return Exit::Usage;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.line(&format!("cannot start: {error}"));
            return Exit::Broken;
        }
    };
    match runtime.block_on(rounds(args, output, project)) {
        Ok(true) => Exit::Pass,
        Ok(false) => Exit::Fail,
        Err(error) => {
            output.line(&format!("{} {error}", output.paint(31, "ERROR")));
            Exit::Broken
        }
    }
}

async fn rounds(args: &Args, output: &Output, project: Project) -> Result<bool, Box<dyn std::error::Error>> {
    let mut stage = ProjectStage::new(project)?;
    let needs = Needs::kafka();
    let result = on_stage(args, output, &mut stage, &needs).await;
    stage.close().await?;
    result
}

async fn on_stage(
    args: &Args,
    output: &Output,
    stage: &mut ProjectStage,
    needs: &Needs,
) -> Result<bool, Box<dyn std::error::Error>> {
    let environment = stage.acquire(needs, &|text| output.line(&format!("  {text}"))).await?;
    let endpoints = environment.endpoints();
    let connection = endpoints.connection();
    let (mut passed, mut anomalies) = (true, 0);
    let clock = RunClock::start();
    let crew = crew(args.workers, clock).await?;
    for seed in 0..=args.rounds {
        let count = args.workers;
        let workers = crew.as_ref().map(|crew| Workers { afar: crew.afar(), clock, count });
        let round = check(&connection, seed, workers).await?;
        passed &= round.mismatches.is_empty();
        anomalies += round.injected.values().sum::<u64>();
        show(&round, output);
    }
    let stamp = Stamp {
        at: jiff::Timestamp::now().to_string(),
        kscen: env!("CARGO_PKG_VERSION").to_owned(),
        kafka: environment.info().kafka_version,
        passed,
        rounds: args.rounds + 1,
        anomalies,
    };
    if let Err(error) = store_selfcheck(&stamp) {
        output.line(&format!("the result cannot be kept for reports: {error}"));
    }
    let word = if passed { output.paint(32, "PASS") } else { output.paint(31, "FAIL") };
    output.line(&format!("{word} {anomalies} anomalies in {} rounds", stamp.rounds));
    Ok(passed)
}

/// Processes that read.
async fn crew(workers: u32, clock: RunClock) -> Result<Option<Ensemble>, Box<dyn std::error::Error>> {
    if workers == 0 {
        return Ok(None);
    }
    let links = (0..workers).map(|_| Box::new(LocalLink) as Box<dyn WorkerLink>).collect();
    let opened = tokio::task::spawn_blocking(move || Ensemble::open(links, clock, None, LogSink::default())).await?;
    Ok(Some(opened?))
}

fn show(round: &Round, output: &Output) {
    let injected: Vec<String> = round
        .injected
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(class, count)| format!("{count} {class}"))
        .collect();
    let what = if injected.is_empty() { "a clean log".to_owned() } else { injected.join(", ") };
    let mark = if round.mismatches.is_empty() {
        output.paint(32, output.symbol("✓", "ok"))
    } else {
        output.paint(31, output.symbol("✗", "FAILED"))
    };
    output.line(&format!("  {mark} round {}: {what}", round.seed));
    for mismatch in &round.mismatches {
        let class: Class = mismatch.class;
        output.line(&format!(
            "      {class}: injected {}, reported {}; overlooked {:?}, invented {:?}",
            mismatch.injected, mismatch.reported, mismatch.overlooked, mismatch.invented
        ));
    }
}
