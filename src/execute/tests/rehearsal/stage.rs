//! Hands out the scripted environment.

use crate::environment::fake::FakeStack;
use crate::environment::{Environment, EnvironmentError, Needs};
use crate::execute::EnvironmentSource;
use futures_util::future::BoxFuture;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A stage with one environment, which it does not start.
pub(crate) struct FakeStage {
    pub(super) environment: Arc<FakeStack>,
    pub(super) journal: Option<PathBuf>,
    /// How long the environment takes to be there.
    pub(super) delay: Duration,
    /// Why there is none.
    pub(super) refusal: Option<EnvironmentError>,
    /// Why it cannot be let go.
    pub(super) stuck: Option<EnvironmentError>,
    /// Another one, by its name in `kscen.yaml`.
    pub(super) other: Option<(String, Arc<FakeStack>)>,
    /// Each time it was let go, whether that was for good: it serves no other run.
    pub(super) released: Vec<bool>,
}

impl EnvironmentSource for FakeStage {
    fn acquire<'a>(
        &'a mut self,
        _: &'a Needs,
        note: &'a (dyn Fn(String) + Sync),
    ) -> BoxFuture<'a, Result<Arc<dyn Environment>, EnvironmentError>> {
        Box::pin(async move {
            note("the scripted environment starts".to_owned());
            tokio::time::sleep(self.delay).await;
            if let Some(error) = &self.refusal {
                return Err(error.clone());
            }
            self.environment.begin();
            Ok(Arc::clone(&self.environment) as Arc<dyn Environment>)
        })
    }

    fn acquire_other<'a>(
        &'a mut self,
        name: &'a str,
        _: &'a (dyn Fn(String) + Sync),
    ) -> BoxFuture<'a, Result<Arc<dyn Environment>, EnvironmentError>> {
        Box::pin(async move {
            let (_, other) = self.other.as_ref().filter(|(known, _)| known == name).expect("the test has it");
            other.begin();
            Ok(Arc::clone(other) as Arc<dyn Environment>)
        })
    }

    fn is_own(&self, name: &str) -> bool {
        self.other.as_ref().is_some_and(|(known, other)| known == name && Arc::ptr_eq(other, &self.environment))
    }

    fn release<'a>(&'a mut self, needs: &'a Needs) -> BoxFuture<'a, Result<(), EnvironmentError>> {
        self.released.push(needs.private);
        Box::pin(async move { self.stuck.clone().map_or(Ok(()), Err) })
    }

    fn journal(&self) -> Option<PathBuf> {
        self.journal.clone()
    }
}
