//! By what means each kind of environment carries out a fault, in words for `kscen plan`.

use super::{Action, EnvironmentKind};

/// A fault on a service or on its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Something done to the service.
    Act(Action),
    /// Its connections are cut.
    Cut,
    /// Its connections are delayed, throttled, reset, or cut one way.
    Shape,
}

/// How the environment does it; `None` where it has no hands on services, or refuses it.
pub fn means(kind: EnvironmentKind, fault: FaultKind) -> Option<&'static str> {
    match kind {
        EnvironmentKind::Local => Some(on_process(fault)),
        EnvironmentKind::Docker => on_container(fault),
        EnvironmentKind::Remote | EnvironmentKind::Mock => None,
    }
}

fn on_process(fault: FaultKind) -> &'static str {
    match fault {
        FaultKind::Act(Action::Pause) => "SIGSTOP to its process",
        FaultKind::Act(Action::Resume) => "SIGCONT to its process",
        FaultKind::Act(Action::Stop) => "its process is asked to end by a signal",
        FaultKind::Act(Action::Start) => "a new process on its data",
        FaultKind::Act(Action::Restart) => "its process is asked to end by a signal, then a new one",
        FaultKind::Act(Action::Kill) => "SIGKILL to its process",
        FaultKind::Act(Action::Wipe) => "SIGKILL to its process, then a new one on empty data",
        FaultKind::Cut => "kscen's proxy in front of it lets nothing through",
        FaultKind::Shape => "kscen's proxy in front of it",
    }
}

fn on_container(fault: FaultKind) -> Option<&'static str> {
    Some(match fault {
        FaultKind::Act(Action::Pause) => "docker pause: the freezer stops all its processes",
        FaultKind::Act(Action::Resume) => "docker unpause",
        FaultKind::Act(Action::Stop) => "docker stop",
        FaultKind::Act(Action::Start) => "docker start",
        FaultKind::Act(Action::Restart) => "docker restart",
        FaultKind::Act(Action::Kill) => "docker kill: SIGKILL",
        FaultKind::Act(Action::Wipe) => "docker kill, then a new container with new volumes from the same definition",
        FaultKind::Cut => "docker network disconnect",
        FaultKind::Shape => return None,
    })
}
