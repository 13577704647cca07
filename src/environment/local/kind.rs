//! Child processes as a kind of environment.

use super::{Attached, LocalConfig, LocalStack, fetch};
use crate::environment::{
    Action, Environment, EnvironmentError, EnvironmentResult, FaultKind, FetchedAhead, Grant, Host, Keeper, KeptStack,
    Kind, Needs, Refusal, ServiceId, Site,
};
use futures_util::future::BoxFuture;
use std::ffi::OsString;
use std::sync::Arc;

/// Most brokers of a stack.
const MOST_BROKERS: u32 = 3;

impl Kind for LocalConfig {
    const NAME: &'static str = "local";
    const ABOUT: &'static str = "Real Kafka, Connect and PostgreSQL as child processes of kscen.";
    const ADDRESSED: bool = false;
    const GRANTS: &'static [Grant] = &Grant::ALL;
    const BETWEEN_RUNS: &'static str = "start one with `kscen up`; `kscen run` alone starts and stops its own";

    fn refusals(&self, site: &Site, needs: &Needs) -> Vec<Refusal> {
        let missing = needs.services.contains(&ServiceId::KafkaUi).then(|| Refusal {
            code: "missing-service",
            message: format!("the environment `{}` has no kafka-ui", site.name),
            help: Some("run it with --env docker".to_owned()),
        });
        let many = (needs.brokers > MOST_BROKERS).then(|| Refusal {
            code: "too-many-brokers",
            message: format!("`local` runs 1 to {MOST_BROKERS} brokers, not {}", needs.brokers),
            help: None,
        });
        missing.into_iter().chain(many).collect()
    }

    fn lacks(&self, _: &Site, _: Grant) -> Option<Refusal> {
        None
    }

    fn falsifies(&self, _: &Site) -> Option<Refusal> {
        None
    }

    /// Only brokers and controllers have kscen's proxy in front of them.
    fn out_of_reach(&self, site: &Site, fault: FaultKind, service: &str) -> Option<Refusal> {
        let of_network = matches!(fault, FaultKind::Cut | FaultKind::Shape);
        let beside_kafka = matches!(service.parse(), Ok(ServiceId::Connect | ServiceId::Postgres | ServiceId::KafkaUi));
        (of_network && beside_kafka).then(|| Refusal {
            code: "cannot-reach-network",
            message: format!(
                "`{}` is local: the network is disturbed by proxies, which brokers and controllers have, not {service}",
                site.name
            ),
            help: Some("disturb the broker's connections instead; a `cut` is possible with --env docker".to_owned()),
        })
    }

    fn means(fault: FaultKind) -> Option<&'static str> {
        Some(match fault {
            FaultKind::Act(Action::Pause) => "SIGSTOP to its process",
            FaultKind::Act(Action::Resume) => "SIGCONT to its process",
            FaultKind::Act(Action::Stop) => "its process is asked to end by a signal",
            FaultKind::Act(Action::Start) => "a new process on its data",
            FaultKind::Act(Action::Restart) => "its process is asked to end by a signal, then a new one",
            FaultKind::Act(Action::Kill) => "SIGKILL to its process",
            FaultKind::Act(Action::Wipe) => "SIGKILL to its process, then a new one on empty data",
            FaultKind::Cut => "kscen's proxy in front of it lets nothing through",
            FaultKind::Shape => "kscen's proxy in front of it",
        })
    }

    fn attach<'a>(
        &'a self,
        site: &'a Site,
        needs: &'a Needs,
        host: &'a mut dyn Host,
    ) -> BoxFuture<'a, EnvironmentResult<Arc<dyn Environment>>> {
        Box::pin(async move {
            if let Some(kept) = suitable(self, site, needs, host).await? {
                return Ok(Arc::new(kept) as Arc<dyn Environment>);
            }
            let folder = host.folder();
            // Its services end with this program, and their faults with them.
            let stack = LocalStack::start(self, needs, &folder, &|text| host.note(text)).await?;
            Ok(Arc::new(stack) as Arc<dyn Environment>)
        })
    }

    fn kept<'a>(&'a self, site: &'a Site) -> BoxFuture<'a, EnvironmentResult<Option<Arc<dyn Environment>>>> {
        Box::pin(
            async move { Ok(Attached::find(site).await?.map(|attached| Arc::new(attached) as Arc<dyn Environment>)) },
        )
    }

    fn keep<'a>(
        &'a self,
        site: &'a Site,
        needs: &'a Needs,
        keeper: Keeper<'a>,
    ) -> BoxFuture<'a, EnvironmentResult<KeptStack>> {
        Box::pin(async move {
            if let Some(running) = Attached::find(site).await? {
                return found(&running, running.unmet(self, site, needs));
            }
            let args: Vec<OsString> = keeper.args.iter().cloned().chain([Attached::name(site).into()]).collect();
            let stack = Attached::start(site, self, needs, keeper.program, &args, keeper.progress).await?;
            let (bootstrap, supervisor) = (stack.endpoints().bootstrap, stack.supervisor());
            Ok(KeptStack { bootstrap, supervisor, was_up: false })
        })
    }

    fn release<'a>(
        &'a self,
        site: &'a Site,
        alone: &'a mut (dyn FnMut() -> EnvironmentResult<()> + Send),
    ) -> BoxFuture<'a, EnvironmentResult<bool>> {
        Box::pin(async move {
            let Some(stack) = Attached::find(site).await? else { return Ok(false) };
            alone()?;
            stack.down().await?;
            Ok(true)
        })
    }

    fn fetch_ahead<'a>(
        &'a self,
        _: &'a Site,
        needs: &'a Needs,
        progress: &'a (dyn Fn(String) + Sync),
    ) -> BoxFuture<'a, EnvironmentResult<Vec<FetchedAhead>>> {
        Box::pin(fetch::fetch_ahead(self, needs, progress))
    }
}

/// Holds the stack that is kept already against what is wanted.
fn found(running: &Attached, unsuited: Option<String>) -> EnvironmentResult<KeptStack> {
    match unsuited {
        None => {
            Ok(KeptStack { bootstrap: running.endpoints().bootstrap, supervisor: running.supervisor(), was_up: true })
        }
        Some(reason) => Err(EnvironmentError::Prerequisite {
            message: format!("another stack is already running: {reason}"),
            remedy: "stop it with `kscen down`".to_owned(),
        }),
    }
}

/// The stack that `kscen up` keeps running, where there is one that suits.
async fn suitable(
    config: &LocalConfig,
    site: &Site,
    needs: &Needs,
    host: &mut dyn Host,
) -> EnvironmentResult<Option<Attached>> {
    if needs.private {
        return Ok(None);
    }
    let Some(attached) = Attached::find(site).await? else { return Ok(None) };
    if let Some(reason) = attached.unmet(config, site, needs) {
        host.note(format!("the stack that `kscen up` keeps does not suit: {reason}; starting another"));
        return Ok(None);
    }
    host.alone(Some(&attached)).await?;
    host.note(format!("using the stack that `kscen up` keeps (supervisor {})", attached.supervisor()));
    Ok(Some(attached))
}
