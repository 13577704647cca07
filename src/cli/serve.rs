//! `kscen serve`

use super::signals::listen_saying;
use super::{Exit, Output, control};
use crate::environment::{EnvironmentError, EnvironmentResult};
use crate::project::{Project, ServeSettings};
use crate::serve::{NewToken, Serving, TokenScope};
use clap::Args as ClapArgs;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Threads of jobs.
const THREADS: usize = 2;

/// Serves backups, restores, verifications, migrations and drains over HTTP, as jobs that survive a restart.
///
/// `serve:` in kscen.yaml says how; what is given here counts before it. The address is printed once the service can be reached.
/// Ctrl-C or SIGTERM ends it: jobs stop at a safe point, and the next service goes on with them.
#[derive(ClapArgs)]
pub struct Args {
    /// The address and port that it listens at; port 0 is a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where archives lie: a folder, or `s3://BUCKET/PREFIX`.
    #[arg(long, value_name = "PLACE")]
    archives: Option<String>,
    /// The folder of its jobs and its audit log.
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// The file of tokens.
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Makes a token of this name, prints it, and the line for the file of tokens; nothing is served.
    #[arg(long, value_name = "NAME", requires = "scopes", conflicts_with_all = ["listen", "archives", "state", "tokens"])]
    new_token: Option<String>,
    /// What the new token allows: `read`, `backup`, `restore`, `delete`; may be given several times.
    #[arg(long = "scope", value_name = "SCOPE", requires = "new_token")]
    scopes: Vec<TokenScope>,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    if let Some(name) = &args.new_token {
        return new_token(name, &args.scopes, output);
    }
    // Jobs compute and wait for disks: requests are answered in other threads.
    let jobs =
        tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).thread_name("jobs").enable_all().build();
    let jobs = match jobs {
        Ok(jobs) => jobs,
        Err(error) => {
            output.line(&format!("cannot start: {error}"));
            return Exit::Broken;
        }
    };
    let exit = control::run(None, output, async |project| serve(args, &project, jobs.handle(), output).await);
    jobs.shutdown_background();
    exit
}

fn new_token(name: &str, scopes: &[TokenScope], output: &Output) -> Exit {
    let scopes: BTreeSet<TokenScope> = scopes.iter().copied().collect();
    match NewToken::new(name, &scopes) {
        Ok(made) => {
            output.line("the token, which is shown only now:");
            output.data(&made.token);
            output.line("the line for the file of tokens:");
            output.data(&made.line);
            Exit::Pass
        }
        Err(reason) => {
            output.line(&reason);
            Exit::Usage
        }
    }
}

fn settings(args: &Args, project: &Project) -> ServeSettings {
    // Paths on the command line are relative to where it is typed.
    let here = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let set = project.serve.clone();
    let place = |place: &String| match place.contains("://") {
        true => place.clone(),
        false => here(&PathBuf::from(place)).display().to_string(),
    };
    ServeSettings {
        listen: args.listen.clone().unwrap_or(set.listen),
        archives: args.archives.as_ref().map(place).unwrap_or(set.archives),
        state: args.state.as_ref().map(here).or(set.state),
        tokens: args.tokens.as_ref().map(here).or(set.tokens),
        ..set
    }
}

async fn serve(
    args: &Args,
    project: &Project,
    jobs: &tokio::runtime::Handle,
    output: &Output,
) -> EnvironmentResult<Exit> {
    let words = &[
        "stopping: jobs stop at a safe point, and the next `kscen serve` goes on with them; press Ctrl-C again to leave at once",
    ];
    let mut interrupt = listen_saying(*output, words).map_err(EnvironmentError::because)?;
    let serving = Serving::begin(project, Path::new("."), settings(args, project)).await?;
    for aside in &serving.damaged {
        let words = format!("{} is damaged: {}; it is in {} now", aside.file, aside.reason, aside.kept);
        output.line(&format!("{}: {words}", output.paint(33, "note")));
    }
    if serving.resumed > 0 {
        output.line(&format!("goes on with {}", crate::ground::plural(serving.resumed, "job")));
    }
    output.line("listens; press Ctrl-C to end");
    output.data(&serving.url);
    let end = async {
        interrupt.at_least(1).await;
    };
    serving.run(jobs, end).await;
    Ok(Exit::Pass)
}
