//! Pause, kill and the like, each proved by what is seen inside of the container or by what the API says of the pod.

use super::book::PodBook;
use super::hold::PodHold;
use super::member::PodMember;
use super::pod::{SeenPod, short};
use super::stack::PodStack;
use crate::environment::action::KILLED_MEANWHILE;
use crate::environment::{Action, Effect, EnvironmentError, EnvironmentResult, Lifecycle};
use crate::moment;
use std::time::{Duration, Instant};

/// How much longer than its own time a pod may take to be gone.
const GONE: Duration = Duration::from_secs(60);
/// How long a pod may take to be placed, and its container to start: its image may have to be fetched.
const STARTED: Duration = Duration::from_secs(180);
/// How late the API may tell that a container has ended.
const TOLD_LATE: Duration = Duration::from_secs(10);
/// How often a successor that came without the gate is deleted again.
const TRIES: usize = 5;
/// How a container ends that was killed.
const KILLED: i32 = 137;
/// How it ends by what a first process cannot ignore: SIGSEGV, which Java answers with SIGABRT.
const CRASHED: [i32; 2] = [139, 134];

impl PodStack {
    pub(super) async fn carry_out(&self, member: &PodMember, action: Action) -> EnvironmentResult<Effect> {
        member.may(action)?;
        let before = member.incarnation(&self.kube).await?;
        if let Some(observed) = futile(before.lifecycle, action) {
            return Err(member.no_effect(observed));
        }
        match action {
            Action::Pause => self.pause(member).await,
            Action::Resume => self.resume(member).await,
            Action::Stop | Action::Kill => self.end(member, action).await,
            Action::Start => self.start(member).await,
            Action::Restart => self.restart(member).await,
            Action::Wipe => Err(EnvironmentError::Unsupported {
                message: format!(
                    "kscen does not erase volumes of a cluster: `{action}` of {} is not possible",
                    member.name
                ),
            }),
        }
    }

    async fn pause(&self, member: &PodMember) -> EnvironmentResult<Effect> {
        let requested = moment::now();
        let states = member.processes(&self.kube, "stop").await?;
        if let Some(other) = states.iter().find(|own| own.state != 'T') {
            let observed = format!("process {} ({}) is in state {}", other.pid, other.name, other.state);
            return Err(member.no_effect(observed));
        }
        member.is_stopped_now(true);
        Ok(effect(requested, member.proof(&states)))
    }

    async fn resume(&self, member: &PodMember) -> EnvironmentResult<Effect> {
        let requested = moment::now();
        let states = member.processes(&self.kube, "go").await?;
        if let Some(other) = states.iter().find(|own| own.state == 'T') {
            return Err(member.no_effect(format!("process {} ({}) is still in state T", other.pid, other.name)));
        }
        member.is_stopped_now(false);
        Ok(effect(requested, member.proof(&states)))
    }

    /// Stop and kill: the container has ended, and what would come after it is held back.
    async fn end(&self, member: &PodMember, action: Action) -> EnvironmentResult<Effect> {
        let set = member.held_by()?;
        let hold = PodHold::of(&self.kube, set);
        let _turn = self.turns.take(set).await;
        hold.may_hold(&member.place).await?;
        let done = async {
            hold.begin(&member.place).await?;
            let effect = self.end_one(member, action, &hold).await?;
            hold.settle(None).await?;
            // Its set may have made others meanwhile, which nobody wants held back.
            hold.free().await?;
            Ok::<_, EnvironmentError>(effect)
        };
        match done.await {
            Ok(effect) => Ok(effect),
            Err(error) => {
                // What went wrong says more than what putting it back may say; the journal knows of it, too.
                let _ = hold.release(&member.place).await;
                Err(error)
            }
        }
    }

    async fn end_one(&self, member: &PodMember, action: Action, hold: &PodHold<'_>) -> EnvironmentResult<Effect> {
        let pod = member.pod()?;
        self.keep_log(member, &pod);
        let requested = moment::now();
        let mut sent = None;
        if action == Action::Kill {
            // A deletion without time asks for an end in order all the same: the kernel's signal has to be first.
            sent = member.ask_once(&self.kube, "end").await?;
        }
        let killed = moment::now();
        hold.delete(&pod, None).await?;
        let (ended, exit_code) = self.gone(member, &pod).await?;
        let how = exit_code
            .map_or_else(|| "an exit code that the API does not tell".to_owned(), |code| format!("exit code {code}"));
        let (effective, forced) = if action == Action::Kill {
            let after = ended.saturating_duration_since(killed);
            if !is_crash(exit_code) {
                return Err(member.no_effect(format!("its container ended with {how}")));
            }
            if !is_prompt(sent.is_some(), after, Duration::from_secs(pod.grace())) {
                let seconds = after.as_secs();
                return Err(member.no_effect(format!(
                    "it went on for {seconds} s after the signal, until the deletion of its pod ended it ({how})"
                )));
            }
            // Only this signal ends what it is sent to at once and for sure.
            (if sent.as_deref().is_some_and(|sent| sent.starts_with("sent KILL")) { killed } else { ended }, false)
        } else {
            let forced = exit_code == Some(KILLED);
            if forced && ended.saturating_duration_since(requested) < Duration::from_secs(pod.grace()) {
                return Err(member.no_effect(KILLED_MEANWHILE));
            }
            (ended, forced)
        };
        let held = self.held(member, &pod, hold).await?;
        let sent = sent.map(|sent| format!(", {sent}")).unwrap_or_default();
        let container = pod.running().map(short).unwrap_or_default();
        let proof = format!(
            "container {container} of pod {} ended with {how}{sent}; its successor ({}) is held back",
            pod.name(),
            held.uid()
        );
        Ok(Effect { requested, effective, down: None, proof, forced })
    }

    /// Waits until that very pod is gone, whatever is beside it. Returns when its container had ended, and how.
    async fn gone(&self, member: &PodMember, pod: &SeenPod) -> EnvironmentResult<(Instant, Option<i32>)> {
        let patience = Duration::from_secs(pod.grace()) + GONE;
        let stays = || member.no_effect(format!("pod {} is still there", pod.name()));
        let runs = |book: &PodBook| book.of(pod.uid()).is_some_and(|own| own.running() == pod.running());
        let ended = member.pods.until(&member.place, patience, |book| (!runs(book)).then(moment::now));
        let ended = ended.await.ok_or_else(stays)?;
        let gone = member
            .pods
            .until(&member.place, patience, |book| book.of(pod.uid()).is_none().then(|| book.last(pod.uid()).cloned()));
        let last = gone.await.ok_or_else(stays)?;
        let end = last.as_ref().and_then(SeenPod::end).filter(|end| Some(end.container.as_str()) == pod.running());
        if end.is_none() && last.is_some_and(|last| last.restarts() > pod.restarts()) {
            return Err(member.no_effect("its node started the container again before the pod was gone"));
        }
        Ok((ended, end.and_then(|end| end.exit_code)))
    }

    /// Waits until the successor of a pod is there, and held back.
    async fn held(&self, member: &PodMember, old: &SeenPod, hold: &PodHold<'_>) -> EnvironmentResult<SeenPod> {
        for _ in 0..TRIES {
            let next = member.pods.until(&member.place, GONE, |book| {
                book.pod.clone().filter(|own| own.uid() != old.uid() && !own.is_ending())
            });
            let Some(next) = next.await else { break };
            if next.is_held() {
                return Ok(next);
            }
            // It was made from the template of before.
            hold.delete(&next, Some(0)).await?;
            let uid = next.uid().to_owned();
            let gone = |own: Option<&SeenPod>| own.is_none_or(|own| own.uid() != uid);
            member.pods.until(&member.place, GONE, |book| gone(book.pod.as_ref()).then_some(())).await;
        }
        Err(member.no_effect("its StatefulSet makes no successor that is held back"))
    }

    async fn start(&self, member: &PodMember) -> EnvironmentResult<Effect> {
        let requested = moment::now();
        if let Ok(set) = member.held_by() {
            let _turn = self.turns.take(set).await;
            PodHold::of(&self.kube, set).release(&member.place).await?;
        }
        self.started(member, None, requested).await
    }

    async fn restart(&self, member: &PodMember) -> EnvironmentResult<Effect> {
        let pod = member.pod()?;
        self.keep_log(member, &pod);
        let requested = moment::now();
        PodHold::of(&self.kube, "").delete(&pod, None).await?;
        let (down, exit_code) = self.gone(member, &pod).await?;
        let forced = exit_code == Some(KILLED);
        if forced && down.saturating_duration_since(requested) < Duration::from_secs(pod.grace()) {
            return Err(member.no_effect(KILLED_MEANWHILE));
        }
        self.let_go(member, &pod).await?;
        let mut effect = self.started(member, Some(&pod), requested).await?;
        let how = exit_code.map(|code| format!(" with exit code {code}")).unwrap_or_default();
        effect.proof.push_str(&format!("; the one before ended{how}"));
        (effect.down, effect.forced) = (Some(down), forced);
        Ok(effect)
    }

    /// Where the successor of a pod was made while another fault of its StatefulSet held back what that made, it is made once more.
    async fn let_go(&self, member: &PodMember, old: &SeenPod) -> EnvironmentResult<()> {
        let next = member.pods.until(&member.place, GONE, |book| book.pod.clone().filter(|own| own.uid() != old.uid()));
        let (Some(next), Some(owner)) = (next.await, &member.owner) else { return Ok(()) };
        if next.is_held() {
            let _turn = self.turns.take(&owner.name).await;
            PodHold::of(&self.kube, &owner.name).delete(&next, None).await?;
        }
        Ok(())
    }

    /// Waits until a container of it runs: of another pod than `old`.
    async fn started(
        &self,
        member: &PodMember,
        old: Option<&SeenPod>,
        requested: Instant,
    ) -> EnvironmentResult<Effect> {
        let found = member.pods.until(&member.place, STARTED, |book| {
            let pod = book.pod.as_ref().filter(|own| old.is_none_or(|old| own.uid() != old.uid()))?;
            pod.life().map(|life| (life, moment::now()))
        });
        match found.await {
            Some((life, effective)) => {
                let proof = format!("{life} is running");
                Ok(Effect { requested, effective, down: None, proof, forced: false })
            }
            None => {
                let why =
                    member.book().pod.and_then(|pod| pod.why_down()).unwrap_or_else(|| "it has no pod".to_owned());
                let log = self.last_lines(member).await;
                Err(EnvironmentError::NotReady { service: member.name.clone(), reason: why, log })
            }
        }
    }
}

/// Whether a container ended as what is killed ends.
fn is_crash(exit_code: Option<i32>) -> bool {
    exit_code.is_some_and(|code| code == KILLED || CRASHED.contains(&code))
}

/// Whether an end came of the signal, and not of the deletion that followed it. After the grace period it is the node that kills; where
/// that is short, an end that the API tells late is the signal's only if that is known to have been sent.
fn is_prompt(sent: bool, after: Duration, grace: Duration) -> bool {
    after < grace || (sent && after < TOLD_LATE)
}

fn effect(requested: Instant, proof: String) -> Effect {
    Effect { requested, effective: moment::now(), down: None, proof, forced: false }
}

/// What would change nothing: a fault that was there before cannot be measured.
fn futile(lifecycle: Lifecycle, action: Action) -> Option<String> {
    let down = matches!(lifecycle, Lifecycle::Stopped | Lifecycle::Exited);
    let observed = match action {
        Action::Pause if lifecycle == Lifecycle::Paused => "it is paused already".to_owned(),
        Action::Pause | Action::Stop | Action::Kill | Action::Restart if down => format!("it is {lifecycle}"),
        Action::Resume if lifecycle != Lifecycle::Paused => format!("it is {lifecycle}, not paused"),
        Action::Start if lifecycle == Lifecycle::Running => "it is running already".to_owned(),
        Action::Start if lifecycle == Lifecycle::Paused => format!("it is paused; `{}` it", Action::Resume),
        _ => return None,
    };
    Some(observed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_by_the_deletion_of_the_pod_is_no_kill() {
        let seconds = Duration::from_secs;
        assert!(is_prompt(true, seconds(2), seconds(30)));
        assert!(is_prompt(false, seconds(2), seconds(30)), "the shell ended with its container before it could answer");
        assert!(!is_prompt(true, seconds(31), seconds(30)) && !is_prompt(false, seconds(31), seconds(30)));
        // With a short grace period only the answer of the shell tells them apart.
        assert!(is_prompt(true, seconds(3), seconds(1)) && !is_prompt(false, seconds(3), seconds(1)));
        let crashes = [Some(137), Some(139), Some(134), Some(143), Some(0), None].map(is_crash);
        assert_eq!(crashes, [true, true, true, false, false, false]);
    }
}
