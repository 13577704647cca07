//! `kscen down`

use super::repair::busy;
use super::{Exit, Output, control, up};
use crate::environment::EnvironmentResult;
use crate::environment::local::{Attached, LocalConfig};
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
    if !project.kind.settings().is::<LocalConfig>() {
        return Err(up::not_local(project, "stop"));
    }
    let Some(stack) = Attached::find(&project.site()).await? else {
        output.line("no stack is running");
        return Ok(Exit::Pass);
    };
    let _lock = RunLock::take(project).map_err(|taken| busy(&project.name, &taken))?;
    stack.down().await?;
    // The faults of killed runs went with it.
    if let Ok(path) = journal_path(project) {
        let _ = std::fs::remove_file(path);
    }
    output.line("stopped");
    Ok(Exit::Pass)
}
