//! The environment: its services, and what can be done to them.

use super::cluster::Kube;
use super::config::KubernetesConfig;
use super::hold::SetTurns;
use super::member::PodMember;
use super::pods::Pods;
use super::recipe::{PodRecipe, PodRepair};
use crate::environment::{
    Action, Effect, Endpoints, Environment, EnvironmentError, EnvironmentInfo, EnvironmentResult, Incarnation,
    Intended, LogLine, LogQuery, Needs, Offer, Recipe, ServiceInfo, ServiceState, Usage, observe,
};
use futures_util::future::{BoxFuture, select_all};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Services in pods; see [`PodStack::attach`].
pub(super) struct PodStack {
    pub(super) kube: Kube,
    /// In start order.
    pub(super) members: Vec<PodMember>,
    pub(super) parts: Vec<Arc<Pods>>,
    pub(super) turns: SetTurns,
    /// Whether the scenario needs a shell in the containers, so that this user was asked for the right to it.
    pub(super) may_exec: bool,
    pub(super) info: EnvironmentInfo,
    pub(super) endpoints: Endpoints,
}

impl PodStack {
    fn member(&self, service: &str) -> EnvironmentResult<&PodMember> {
        self.members.iter().find(|member| member.name == service).ok_or_else(|| EnvironmentError::UnknownService {
            service: service.to_owned(),
            known: self.members.iter().map(|member| member.name.clone()).collect(),
        })
    }

    fn repair(&self, member: &PodMember, action: Action) -> EnvironmentResult<Option<PodRepair>> {
        member.may(action)?;
        Ok(match action {
            Action::Resume | Action::Start | Action::Wipe => None,
            Action::Restart => Some(PodRepair::Nothing),
            Action::Stop | Action::Kill => Some(PodRepair::LetGo { set: member.held_by()?.to_owned() }),
            Action::Pause => {
                let pod = member.pod()?;
                let Some(id) = pod.running() else {
                    return Err(member.no_effect(pod.why_down().unwrap_or_default()));
                };
                Some(PodRepair::GoOn { container: pod.container.clone(), id: id.to_owned() })
            }
        })
    }
}

impl Environment for PodStack {
    fn info(&self) -> EnvironmentInfo {
        self.info.clone()
    }

    fn endpoints(&self) -> Endpoints {
        self.endpoints.clone()
    }

    fn services(&self) -> Vec<ServiceInfo> {
        let service =
            |member: &PodMember| ServiceInfo { name: member.name.clone(), node_id: member.node_id, controllable: true };
        self.members.iter().map(service).collect()
    }

    fn offer<'a>(&'a self, needs: &'a Needs) -> BoxFuture<'a, Offer> {
        Box::pin(async move { observe(self.info.brokers, &self.endpoints, needs).await })
    }

    fn recipe<'a>(&'a self, fault: Intended<'a>) -> BoxFuture<'a, EnvironmentResult<Option<Recipe>>> {
        Box::pin(async move {
            let Intended::Act(service, action) = fault else { return Err(self.cannot("a network fault")) };
            let member = self.member(service)?;
            let Some(repair) = self.repair(member, action)? else { return Ok(None) };
            let pod = member.pod().map_or_else(|_| member.place.clone(), |pod| pod.name().to_owned());
            let recipe = PodRecipe { at: self.kube.whereabouts.clone(), pod, repair };
            Recipe::of::<KubernetesConfig>(&recipe).map(Some)
        })
    }

    fn act<'a>(&'a self, service: &'a str, action: Action) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        Box::pin(async move { self.carry_out(self.member(service)?, action).await })
    }

    fn wait_ready<'a>(&'a self, service: &'a str, timeout: Duration) -> BoxFuture<'a, EnvironmentResult<()>> {
        Box::pin(async move { self.until_ready(self.member(service)?, timeout).await })
    }

    fn state<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<ServiceState>> {
        Box::pin(async move {
            let member = self.member(service)?;
            let seen = member.incarnation(&self.kube).await?;
            let identity = member.book().pod.map(|pod| pod.name().to_owned()).unwrap_or_else(|| member.place.clone());
            let restarts = member.book().lives;
            Ok(ServiceState { lifecycle: seen.lifecycle, identity, restarts, exit_code: seen.exit_code })
        })
    }

    fn incarnation<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<Incarnation>> {
        Box::pin(async move { self.member(service)?.incarnation(&self.kube).await })
    }

    fn happened<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let changes = self.parts.iter().map(|part| {
                let mut changes = part.changes();
                Box::pin(async move {
                    changes.borrow_and_update();
                    if changes.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                })
            });
            let changes: Vec<_> = changes.collect();
            // Of nothing there is no first.
            if changes.is_empty() {
                std::future::pending::<()>().await;
            }
            select_all(changes).await;
        })
    }

    /// By a shell in its container, at the other end of the API.
    fn look_takes(&self) -> Duration {
        Duration::from_millis(250)
    }

    fn usage<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<Option<Usage>>> {
        Box::pin(async move { self.read_usage(self.member(service)?).await })
    }

    fn logs<'a>(&'a self, service: &'a str, query: LogQuery) -> BoxFuture<'a, EnvironmentResult<Vec<LogLine>>> {
        Box::pin(async move { self.read_log(self.member(service)?, query).await })
    }

    fn log_gap(&self, service: &str, since: SystemTime) -> Option<String> {
        self.gap(self.member(service).ok()?, since)
    }

    /// Leaves the pods as they are: they are the user's.
    fn shutdown<'a>(&'a self) -> BoxFuture<'a, EnvironmentResult<()>> {
        Box::pin(async { Ok(()) })
    }
}
