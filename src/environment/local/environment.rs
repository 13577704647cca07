//! The local stack as an [`Environment`].

use super::connect::Connect;
use super::offer::offered;
use super::postgres::Postgres;
use super::stack::LocalStack;
use crate::environment::{
    Action, Effect, Endpoints, Environment, EnvironmentError, EnvironmentInfo, EnvironmentResult, Grip, Healed,
    Incarnation, LogLine, LogQuery, Needs, NetworkFault, Offer, ServiceInfo, ServiceState, Usage,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

impl Environment for LocalStack {
    fn info(&self) -> EnvironmentInfo {
        self.info.clone()
    }

    fn endpoints(&self) -> Endpoints {
        Endpoints {
            bootstrap: self.cluster.bootstrap(),
            connect: self.connect.as_ref().map(Connect::url),
            postgres: self.postgres.as_ref().map(Postgres::url),
            ..Endpoints::default()
        }
    }

    fn services(&self) -> Vec<ServiceInfo> {
        self.members.iter().map(|member| member.service.info().clone()).collect()
    }

    fn offer<'a>(&'a self, _: &'a Needs) -> BoxFuture<'a, Offer> {
        async { offered(&self.info, &self.services(), &self.endpoints(), (self.log_dir, self.archive_dir)) }.boxed()
    }

    fn act<'a>(&'a self, service: &'a str, action: Action) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        async move { self.member(service)?.service.act(action).await }.boxed()
    }

    fn disturb<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        async move {
            self.member(&fault.service)?;
            self.network.as_ref().ok_or_else(no_proxies)?.disturb(fault).await
        }
        .boxed()
    }

    fn heal<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Healed>> {
        async move {
            self.member(&fault.service)?;
            let effect = self.network.as_ref().ok_or_else(no_proxies)?.heal(fault)?;
            // Nobody but this stack has a hand in its proxies.
            Ok(Healed { effect, changed: true })
        }
        .boxed()
    }

    fn disturbed<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Grip>> {
        async move {
            self.member(&fault.service)?;
            self.network.as_ref().ok_or_else(no_proxies)?.disturbed(fault).await
        }
        .boxed()
    }

    fn wait_ready<'a>(&'a self, service: &'a str, timeout: Duration) -> BoxFuture<'a, EnvironmentResult<()>> {
        async move { self.wait_member(self.member(service)?, timeout).await }.boxed()
    }

    fn state<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<ServiceState>> {
        async move { Ok(self.member(service)?.service.state()) }.boxed()
    }

    fn incarnation<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<Incarnation>> {
        async move {
            let service = &self.member(service)?.service;
            let state = service.settled().await;
            Ok(Incarnation { since: service.ended_at(), ..Incarnation::from(state) })
        }
        .boxed()
    }

    fn usage<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<Option<Usage>>> {
        async move {
            let service = Arc::clone(&self.member(service)?.service);
            off_thread(move || Ok(Some(service.usage()))).await
        }
        .boxed()
    }

    fn logs<'a>(&'a self, service: &'a str, query: LogQuery) -> BoxFuture<'a, EnvironmentResult<Vec<LogLine>>> {
        async move {
            let service = Arc::clone(&self.member(service)?.service);
            off_thread(move || service.logs(query)).await
        }
        .boxed()
    }

    fn shutdown<'a>(&'a self) -> BoxFuture<'a, EnvironmentResult<()>> {
        self.end().boxed()
    }
}

/// Reads files without holding up the control threads.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> EnvironmentResult<T> + Send + 'static,
) -> EnvironmentResult<T> {
    tokio::task::spawn_blocking(work).await.map_err(EnvironmentError::because)?
}

fn no_proxies() -> EnvironmentError {
    EnvironmentError::Unsupported { message: "this stack was started without network faults in its needs".to_owned() }
}
