//! Whose group it is that a reader joins.

use crate::faults::Resource;
use crate::verb::{StepContext, StepError};
use crate::wire::{WireError, groups};

/// Makes the group this run's, to be deleted at its end, where it does not exist yet. A group that exists is somebody else's: it stays,
/// with its offsets; and so does one of which nobody can say whether it exists.
///
/// # Errors
/// Where the step has to end meanwhile.
pub(in crate::verbs) async fn claim(name: &str, cx: &mut StepContext) -> Result<(), StepError> {
    let resource = Resource::Group(name.to_owned());
    if cx.run.owned.contains(&resource) {
        return Ok(());
    }
    let cluster = cx.run.wire()?;
    let answer = cx.unless_stopped(groups::describe(&cluster, &[name])).await?.remove(name);
    match is_there(answer) {
        Ok(false) => cx.run.owned.add(resource),
        Ok(true) => cx.run.recorder.note(format!("group {name} was there before this run: it stays, with its offsets")),
        Err(why) => cx
            .run
            .recorder
            .note(format!("group {name} stays after the run: whether it was there before is unknown ({why})")),
    }
    Ok(())
}

fn is_there(answer: Option<Result<Option<groups::GroupState>, WireError>>) -> Result<bool, String> {
    match answer {
        Some(Ok(group)) => Ok(group.is_some_and(|group| group.state != "Dead")),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("nobody answered".to_owned()),
    }
}
