//! `kscen down`

use super::repair::busy;
use super::{Exit, Output, control};
use crate::environment::EnvironmentResult;
use crate::project::{Project, RunLock, journal_path};
use clap::Args as ClapArgs;

/// Stops the stack that `kscen up` started.
#[derive(ClapArgs)]
pub struct Args {
    /// The environment: a name in kscen.yaml; `local` always exists.
    #[arg(long, value_name = "NAME", env = "KSCEN_ENV")]
    env: Option<String>,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    control::run(args.env.as_deref(), output, async |project| down(&project, output).await)
}

async fn down(project: &Project, output: &Output) -> EnvironmentResult<Exit> {
    let mut lock = None;
    let mut alone = || {
        lock = Some(RunLock::take(project).map_err(|taken| busy(&project.name, &taken))?);
        Ok(())
    };
    if !project.kind.release(&project.site(), &mut alone).await? {
        output.line("no stack is running");
        return Ok(Exit::Pass);
    }
    // The faults of killed runs went with it.
    if let Ok(path) = journal_path(project) {
        let _ = std::fs::remove_file(path);
    }
    drop(lock);
    output.line("stopped");
    Ok(Exit::Pass)
}
