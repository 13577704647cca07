//! `kscen undo`

use super::repair::{busy, repair};
use super::{Exit, Output, control};
use crate::environment::EnvironmentResult;
use crate::ground::{plural, scratch};
use crate::project::{Project, RunLock};
use clap::Args as ClapArgs;

/// Repairs what a killed run left behind: resumes what it paused, starts what it stopped, heals the network, ends
/// the commands and programs of steps.
#[derive(ClapArgs)]
pub struct Args {
    /// The environment: a name in kscen.yaml; `local` always exists.
    #[arg(long, value_name = "NAME", env = "KSCEN_ENV")]
    env: Option<String>,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    control::run(args.env.as_deref(), output, async |project| match undo(&project, output).await? {
        0 => {
            output.line("nothing to undo");
            Ok(Exit::Pass)
        }
        _ => Ok(Exit::Pass),
    })
}

async fn undo(project: &Project, output: &Output) -> EnvironmentResult<usize> {
    let ended = scratch::sweep();
    if ended > 0 {
        output.line(&format!("ended {} that steps of a killed run had started", plural(ended, "process")));
    }
    let _lock = RunLock::take(project).map_err(|taken| busy(&project.name, &taken))?;
    let kept = project.kind.kept(&project.site()).await?;
    Ok(ended + repair(project, kept.as_deref(), &|line: String| output.line(&line)).await?)
}
