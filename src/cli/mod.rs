//! The command line: one file per subcommand. Only here is anything printed, and only `main` exits.

mod archive;
mod backup;
mod bench;
mod check;
mod compare;
mod complete;
mod completions;
mod control;
mod down;
mod drain;
mod ending;
mod exit;
mod explain;
mod exposed;
mod fetch;
mod former;
#[cfg(test)]
mod hour_tests;
mod identity;
mod judge;
mod lanes;
mod list;
mod live_lines;
mod man;
mod migrate;
mod new;
mod output;
mod past;
mod plan;
mod project;
mod prune;
mod repair;
mod report;
mod reports;
mod restore;
mod results;
mod run;
mod schema;
mod select;
mod selfcheck;
mod serve;
mod sieve;
mod signals;
mod stage;
mod status;
mod steps;
mod terminal;
mod translate;
mod undo;
mod up;
mod variables;
mod verify;
mod watch;
mod worker;

pub use exit::Exit;

use clap::{Parser, Subcommand};
use output::{Color, Output};

/// Declarative benchmarks and failure tests for Kafka.
///
/// A scenario is a YAML file of steps: produce at a rate, pause a broker, expect that nothing was lost. kscen runs it
/// against a real Kafka and accounts for every message.
#[derive(Parser)]
#[command(name = "kscen", version, max_term_width = 100)]
struct Cli {
    /// When to use colour.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    Check(check::Args),
    Bench(bench::Args),
    Up(up::Args),
    Down(down::Args),
    Fetch(fetch::Args),
    Status(status::Args),
    Undo(undo::Args),
    #[command(hide = true)]
    Supervise(up::SuperviseArgs),
    #[command(hide = true)]
    Worker(worker::Args),
    Plan(plan::Args),
    List(list::Args),
    New(new::Args),
    Steps(steps::Args),
    Explain(explain::Args),
    Schema(schema::Args),
    Selfcheck(selfcheck::Args),
    Judge(judge::Args),
    Report(report::Args),
    Compare(compare::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Verify(verify::Args),
    Archive(archive::Args),
    Serve(serve::Args),
    Migrate(migrate::Args),
    Drain(drain::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Complete(complete::Args),
    Man(man::Args),
}

/// Whether the program understands these arguments, and what it says where it does not.
///
/// # Errors
/// What clap says.
#[doc(hidden)]
pub fn understands<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    let all = std::iter::once("kscen").chain(arguments);
    match Cli::try_parse_from(all) {
        // What is asked for and answered at once, such as the version.
        Err(error) if error.use_stderr() => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Runs the program.
pub fn main() -> Exit {
    crate::ground::survive_file_limits();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            return Output::refusal(&error);
        }
    };
    let output = Output::new(cli.color);
    let exit = run(cli.command, &output);
    if Output::unwritten() {
        output.line("what was asked for could not be written to standard output");
        return exit.worse(Exit::Broken);
    }
    exit
}

fn run(command: Command, output: &Output) -> Exit {
    match command {
        Command::Run(args) => run::run(&args, output),
        Command::Check(args) => check::run(&args, output),
        Command::Bench(args) => bench::run(&args, output),
        Command::Up(args) => up::run(&args, output),
        Command::Down(args) => down::run(&args, output),
        Command::Fetch(args) => fetch::run(&args, output),
        Command::Status(args) => status::run(&args, output),
        Command::Undo(args) => undo::run(&args, output),
        Command::Supervise(args) => up::supervisor(&args),
        Command::Worker(args) => worker::run(&args, output),
        Command::Plan(args) => plan::run(&args, output),
        Command::List(args) => list::run(&args, output),
        Command::New(args) => new::run(&args, output),
        Command::Steps(args) => steps::run(&args, output),
        Command::Explain(args) => explain::run(&args, output),
        Command::Schema(args) => schema::run(&args, output),
        Command::Selfcheck(args) => selfcheck::run(&args, output),
        Command::Judge(args) => judge::run(&args, output),
        Command::Report(args) => report::run(&args, output),
        Command::Compare(args) => compare::run(&args, output),
        Command::Backup(args) => backup::run(&args, output),
        Command::Restore(args) => restore::run(&args, output),
        Command::Verify(args) => verify::run(&args, output),
        Command::Archive(args) => archive::run(&args, output),
        Command::Serve(args) => serve::run(&args, output),
        Command::Migrate(args) => migrate::run(&args, output),
        Command::Drain(args) => drain::run(&args, output),
        Command::Completions(args) => completions::run(&args, output),
        Command::Complete(args) => complete::run(&args, output),
        Command::Man(args) => man::run(&args, output),
    }
}
