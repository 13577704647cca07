//! What a kind of environment is.

use super::kept::{FetchedAhead, Keeper, KeptStack};
use super::offer::{refusal, unmet};
use super::{Environment, EnvironmentError, EnvironmentResult, FaultKind, Grant, Needs, Refusal, Site};
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

/// A kind of environment. The type that implements it holds the settings under its name in `kscen.yaml`.
///
/// A kind states what it cannot do before anything starts ([`Kind::refusals`]), attaches to an environment or starts one
/// ([`Kind::attach`]), and undoes what a run that was killed left in force ([`Kind::heal`]).
pub trait Kind: DeserializeOwned + JsonSchema + Debug + Send + Sync + 'static {
    /// The key in `kscen.yaml`, and the word in plans and results.
    const NAME: &'static str;
    /// One sentence for `kscen.yaml`'s schema.
    const ABOUT: &'static str;
    /// Whether `kscen.yaml` has to say where Kafka is reached, because kscen starts nothing.
    const ADDRESSED: bool;
    /// What may be done there where `kscen.yaml` does not say. What kscen started itself, and what is brought up for development, is
    /// granted as a whole; somebody else's cluster is not.
    const GRANTS: &'static [Grant];
    /// What to do for an environment that runs on between runs, where `kscen up`, `down` or `status` cannot help.
    const BETWEEN_RUNS: &'static str;

    /// Whether its settings already lead to Kafka, though kscen starts nothing.
    fn finds_kafka(&self) -> bool {
        !Self::ADDRESSED
    }

    /// What somebody else has to allow for these needs to be met, as text that can be handed to them; `None` where it takes nothing.
    fn demands(&self, site: &Site, needs: &Needs) -> Option<String> {
        let _ = (site, needs);
        None
    }

    /// What it cannot or may not do of what is needed; empty where it can do it all.
    fn refusals(&self, site: &Site, needs: &Needs) -> Vec<Refusal>;

    /// Why something that may be granted cannot be done there at all.
    fn lacks(&self, site: &Site, grant: Grant) -> Option<Refusal>;

    /// What an environment is, as text: environments of one identity share their lock and their undo journal, whatever folder they are
    /// used from.
    fn identity(&self, site: &Site) -> String {
        let root = site.root.as_ref().map(|root| root.display().to_string());
        format!("{} of {}", site.name, root.unwrap_or_default())
    }

    /// Why nothing may be judged there; `None` where a verdict means what it says.
    fn falsifies(&self, site: &Site) -> Option<Refusal>;

    /// Why a fault that is possible there is not possible on this service.
    fn out_of_reach(&self, site: &Site, fault: FaultKind, service: &str) -> Option<Refusal> {
        let _ = (site, fault, service);
        None
    }

    /// By what means it carries out a fault, in words for `kscen plan`; `None` where it cannot.
    fn means(fault: FaultKind) -> Option<&'static str>;

    /// The environment, started for the needs where kscen starts it. Whether it meets them is decided afterwards, for every kind
    /// alike, from what it [offers](Environment::offer).
    ///
    /// # Errors
    /// Whatever keeps it from being used, with a remedy where there is one.
    fn attach<'a>(
        &'a self,
        site: &'a Site,
        needs: &'a Needs,
        host: &'a mut dyn Host,
    ) -> BoxFuture<'a, EnvironmentResult<Arc<dyn Environment>>>;

    /// The environment that kscen itself keeps running between runs, where there is one.
    ///
    /// # Errors
    /// It is there and cannot be used.
    fn kept<'a>(&'a self, site: &'a Site) -> BoxFuture<'a, EnvironmentResult<Option<Arc<dyn Environment>>>> {
        let _ = site;
        Box::pin(async { Ok(None) })
    }

    /// Starts a stack for these needs that stays up between runs, unless one is kept already. `program` with `args` and the name of
    /// the stack after them has to run [`super::local::supervise`]. What is kept suits the needs.
    ///
    /// # Errors
    /// Environments of this kind are not kscen's to start; the stack cannot be started, or another one is kept.
    fn keep<'a>(
        &'a self,
        site: &'a Site,
        needs: &'a Needs,
        keeper: Keeper<'a>,
    ) -> BoxFuture<'a, EnvironmentResult<KeptStack>> {
        let _ = (needs, keeper);
        Box::pin(async { Err(not_kept::<Self>(site, "does not start it")) })
    }

    /// Ends the stack that is kept running, where there is one; false where there is none. `alone` is asked for once it was found.
    ///
    /// # Errors
    /// Environments of this kind are not kscen's to end; the stack cannot be ended, or is in use.
    fn release<'a>(
        &'a self,
        site: &'a Site,
        alone: &'a mut (dyn FnMut() -> EnvironmentResult<()> + Send),
    ) -> BoxFuture<'a, EnvironmentResult<bool>> {
        let _ = alone;
        Box::pin(async { Err(not_kept::<Self>(site, "does not stop it")) })
    }

    /// Fetches ahead what a stack for these needs is started from.
    ///
    /// # Errors
    /// Nothing is fetched for environments of this kind; something cannot be fetched.
    fn fetch_ahead<'a>(
        &'a self,
        site: &'a Site,
        needs: &'a Needs,
        progress: &'a (dyn Fn(String) + Sync),
    ) -> BoxFuture<'a, EnvironmentResult<Vec<FetchedAhead>>> {
        let _ = (needs, progress);
        let message = format!("`{}` is {}: kscen fetches nothing for it", site.name, Self::NAME);
        let remedy = "choose a local environment with --env".to_owned();
        Box::pin(async { Err(EnvironmentError::Prerequisite { message, remedy }) })
    }

    /// Undoes a fault from the recipe that [`Environment::recipe`] gave, in whatever state things are found; returns what was
    /// done, in words. It may be repeated.
    ///
    /// # Errors
    /// It cannot be undone now.
    fn heal(recipe: Value) -> BoxFuture<'static, EnvironmentResult<String>> {
        let _ = recipe;
        let message = format!("`{}` environments leave nothing that needs a recipe", Self::NAME);
        Box::pin(async move { Err(EnvironmentError::failed(message)) })
    }
}

/// The error for what is only done to environments that kscen starts.
fn not_kept<K: Kind>(site: &Site, what: &str) -> EnvironmentError {
    EnvironmentError::Prerequisite {
        message: format!("`{}` is {}: kscen {what}", site.name, K::NAME),
        remedy: K::BETWEEN_RUNS.to_owned(),
    }
}

/// What a kind is given while it attaches.
pub trait Host: Send + Sync {
    /// Tells the user what takes time.
    fn note(&self, text: String);

    /// A folder for data that is removed after the program; a new one each time. It need not exist yet.
    fn folder(&mut self) -> PathBuf;

    /// Makes this run the only one on the environment, and undoes what an earlier run left in force. To be called before
    /// anything that outlives the program is used: from then on faults are written down before they are applied. An
    /// `environment` is needed where its faults are undone without a recipe.
    fn alone<'a>(&'a mut self, environment: Option<&'a dyn Environment>) -> BoxFuture<'a, EnvironmentResult<()>>;
}

/// A [`Kind`] with its settings, whichever it is.
pub trait AnyKind: Debug + Send + Sync {
    /// See [`Kind::NAME`].
    fn name(&self) -> &'static str;
    /// See [`Kind::ADDRESSED`].
    fn is_addressed(&self) -> bool;
    /// See [`Kind::finds_kafka`].
    fn finds_kafka(&self) -> bool;
    /// See [`Kind::demands`].
    fn demands(&self, site: &Site, needs: &Needs) -> Option<String>;
    /// See [`Kind::identity`].
    fn identity(&self, site: &Site) -> String;
    /// See [`Kind::BETWEEN_RUNS`].
    fn between_runs(&self) -> &'static str;
    /// See [`Kind::GRANTS`].
    fn grants(&self) -> &'static [Grant];
    /// See [`Kind::refusals`].
    fn refusals(&self, site: &Site, needs: &Needs) -> Vec<Refusal>;
    /// See [`Kind::lacks`].
    fn lacks(&self, site: &Site, grant: Grant) -> Option<Refusal>;
    /// See [`Kind::falsifies`].
    fn falsifies(&self, site: &Site) -> Option<Refusal>;
    /// See [`Kind::out_of_reach`].
    fn out_of_reach(&self, site: &Site, fault: FaultKind, service: &str) -> Option<Refusal>;
    /// See [`Kind::means`].
    fn means(&self, fault: FaultKind) -> Option<&'static str>;
    /// An environment that meets the needs: see [`Kind::attach`].
    ///
    /// # Errors
    /// Those of the kind; a need that is not met, or of which nobody knows whether it is.
    fn attach<'a>(
        &'a self,
        site: &'a Site,
        needs: &'a Needs,
        host: &'a mut dyn Host,
    ) -> BoxFuture<'a, EnvironmentResult<Arc<dyn Environment>>>;
    /// See [`Kind::kept`].
    fn kept<'a>(&'a self, site: &'a Site) -> BoxFuture<'a, EnvironmentResult<Option<Arc<dyn Environment>>>>;
    /// See [`Kind::keep`].
    fn keep<'a>(
        &'a self,
        site: &'a Site,
        needs: &'a Needs,
        keeper: Keeper<'a>,
    ) -> BoxFuture<'a, EnvironmentResult<KeptStack>>;
    /// See [`Kind::release`].
    fn release<'a>(
        &'a self,
        site: &'a Site,
        alone: &'a mut (dyn FnMut() -> EnvironmentResult<()> + Send),
    ) -> BoxFuture<'a, EnvironmentResult<bool>>;
    /// See [`Kind::fetch_ahead`].
    fn fetch_ahead<'a>(
        &'a self,
        site: &'a Site,
        needs: &'a Needs,
        progress: &'a (dyn Fn(String) + Sync),
    ) -> BoxFuture<'a, EnvironmentResult<Vec<FetchedAhead>>>;
}

impl<K: Kind> AnyKind for K {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn is_addressed(&self) -> bool {
        K::ADDRESSED
    }

    fn finds_kafka(&self) -> bool {
        Kind::finds_kafka(self)
    }

    fn demands(&self, site: &Site, needs: &Needs) -> Option<String> {
        Kind::demands(self, site, needs)
    }

    fn identity(&self, site: &Site) -> String {
        Kind::identity(self, site)
    }

    fn between_runs(&self) -> &'static str {
        K::BETWEEN_RUNS
    }

    fn grants(&self) -> &'static [Grant] {
        K::GRANTS
    }

    fn refusals(&self, site: &Site, needs: &Needs) -> Vec<Refusal> {
        Kind::refusals(self, site, needs)
    }

    fn lacks(&self, site: &Site, grant: Grant) -> Option<Refusal> {
        Kind::lacks(self, site, grant)
    }

    fn falsifies(&self, site: &Site) -> Option<Refusal> {
        Kind::falsifies(self, site)
    }

    fn out_of_reach(&self, site: &Site, fault: FaultKind, service: &str) -> Option<Refusal> {
        Kind::out_of_reach(self, site, fault, service)
    }

    fn means(&self, fault: FaultKind) -> Option<&'static str> {
        K::means(fault)
    }

    fn attach<'a>(
        &'a self,
        site: &'a Site,
        needs: &'a Needs,
        host: &'a mut dyn Host,
    ) -> BoxFuture<'a, EnvironmentResult<Arc<dyn Environment>>> {
        Box::pin(async move {
            let environment = Kind::attach(self, site, needs, host).await?;
            let unmet = unmet(&environment.offer(needs).await, needs);
            if unmet.is_empty() {
                return Ok(environment);
            }
            // Nobody uses it; that it is not what is needed says more than what ending it may say.
            let _ = environment.shutdown().await;
            Err(refusal(&site.name, &unmet))
        })
    }

    fn kept<'a>(&'a self, site: &'a Site) -> BoxFuture<'a, EnvironmentResult<Option<Arc<dyn Environment>>>> {
        Kind::kept(self, site)
    }

    fn keep<'a>(
        &'a self,
        site: &'a Site,
        needs: &'a Needs,
        keeper: Keeper<'a>,
    ) -> BoxFuture<'a, EnvironmentResult<KeptStack>> {
        Kind::keep(self, site, needs, keeper)
    }

    fn release<'a>(
        &'a self,
        site: &'a Site,
        alone: &'a mut (dyn FnMut() -> EnvironmentResult<()> + Send),
    ) -> BoxFuture<'a, EnvironmentResult<bool>> {
        Kind::release(self, site, alone)
    }

    fn fetch_ahead<'a>(
        &'a self,
        site: &'a Site,
        needs: &'a Needs,
        progress: &'a (dyn Fn(String) + Sync),
    ) -> BoxFuture<'a, EnvironmentResult<Vec<FetchedAhead>>> {
        Kind::fetch_ahead(self, site, needs, progress)
    }
}

/// A kind in the table.
pub struct KindEntry {
    /// See [`Kind::NAME`].
    pub name: &'static str,
    /// See [`Kind::ABOUT`].
    pub about: &'static str,
    /// The schema of its settings.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Decodes its settings.
    pub decode: fn(Value) -> Result<Arc<dyn AnyKind>, serde_json::Error>,
    /// See [`Kind::heal`].
    pub heal: fn(Value) -> BoxFuture<'static, EnvironmentResult<String>>,
}

/// The table's entry of a kind.
pub const fn entry<K: Kind>() -> KindEntry {
    KindEntry {
        name: K::NAME,
        about: K::ABOUT,
        schema: |generator| generator.subschema_for::<K>(),
        decode: |settings| serde_json::from_value::<K>(settings).map(|kind| Arc::new(kind) as Arc<dyn AnyKind>),
        heal: K::heal,
    }
}
