//! Whose a connector is, and the replication slot and the publication that it uses.

use super::{Connector, failure};
use crate::connect::{
    Applied, ConfigRedactor, ConnectClient, ConnectError, ConnectResult, ConnectorConfig, fingerprint,
};
use crate::database::{Database, DatabaseError, Lsn};
use crate::debezium::safe_name;
use crate::faults::{Owned, Provenance, Resource};
use crate::verb::{Capture, SharedRun, StepContext, StepError};
use crate::verbs::consume::claim;
use crate::verbs::fault::journal_error;
use std::time::Duration;

/// How long a database that is away is waited for.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long a look at what a connector has made may take: without it, less is known of it.
const GLANCE: Duration = Duration::from_secs(5);

/// What a step has announced as this run's before anything made it.
pub(super) struct Claims {
    connector: Resource,
    /// The fingerprint of the configuration that the connector is to get.
    config: String,
    /// Whether there was a connector of that name.
    existed: bool,
    /// What was announced now, and stands in the journal.
    announced: Vec<Resource>,
    /// The connector of somebody else whose configuration was written down now.
    remembered: Option<String>,
    /// The slot and the publication that were not there.
    absent: Vec<Resource>,
}

impl Claims {
    fn announce(&mut self, resource: Resource, provenance: Provenance, owned: &Owned) -> Result<(), StepError> {
        if !owned.contains(&resource) {
            self.announced.push(resource.clone());
        }
        owned.announce_made(resource, provenance).map_err(journal_error)
    }

    /// Nothing was made.
    pub(super) fn withdraw(&self, owned: &Owned) {
        self.announced.iter().for_each(|resource| owned.remove(resource));
        self.remembered.iter().for_each(|connector| owned.forget(connector));
    }

    /// What came of it: what is sure to be the run's from now on, and what is not. Where nobody knows, it stays announced, and is deleted
    /// only as what the run asked for.
    pub(super) async fn settle(
        &self,
        applied: Result<Applied, &ConnectError>,
        connect: &ConnectClient,
        cx: &StepContext,
    ) {
        let owned = &cx.run.owned;
        match applied {
            Ok(Applied::Updated) if !self.existed => {
                // It was made between two questions: by whom, nobody says.
                owned.remove(&self.connector);
                let text = format!("{} was there all at once, and was changed: it stays after the run", self.connector);
                cx.run.recorder.warn(text);
            }
            Ok(_) => self.is_made(cx).await,
            Err(error) => match connect.config(self.name()).await {
                Ok(present) if fingerprint(&present) == self.config => self.is_made(cx).await,
                Ok(_) | Err(ConnectError::NotFound { .. }) if is_refusal(error) => self.withdraw(owned),
                _ => {}
            },
        }
    }

    fn name(&self) -> &str {
        match &self.connector {
            Resource::Connector(name) => name,
            _ => "",
        }
    }

    async fn is_made(&self, cx: &StepContext) {
        // A journal that cannot be written says less than it might, and nothing wrong.
        let _ = cx.run.owned.confirm(&self.connector);
        self.look(cx).await;
    }

    /// Looks at the slot and the publication that were not there before: where they are now, the connector has made them.
    pub(super) async fn look(&self, cx: &StepContext) {
        if self.absent.is_empty() {
            return;
        }
        let Ok(database) = cx.run.database() else { return };
        let Ok(session) = database.connect_within(GLANCE).await else { return };
        for resource in &self.absent {
            let is_there = match resource {
                Resource::Slot(name) => matches!(session.slot(name).await, Ok(Some(_))),
                Resource::Publication(name) => session.publications().await.is_ok_and(|all| all.contains(name)),
                _ => false,
            };
            if is_there {
                let made = Provenance { seen: true, ..Provenance::made_by(self.name()) };
                let _ = cx.run.owned.announce_made(resource.clone(), made);
            }
        }
    }
}

/// Whether Connect has said no, or the connector cannot be what was asked for; and not only that nobody knows.
fn is_refusal(error: &ConnectError) -> bool {
    !matches!(
        error,
        ConnectError::Unreachable { .. }
            | ConnectError::Rebalancing { .. }
            | ConnectError::NotInTime { .. }
            | ConnectError::Unreadable { .. }
    )
}

/// What a configuration of Debezium's PostgreSQL connector names, with Debezium's own defaults.
struct Names<'a> {
    slot: &'a str,
    publication: &'a str,
}

impl<'a> Names<'a> {
    /// `None` of any other connector.
    fn of(config: &'a ConnectorConfig) -> Option<Self> {
        config.get("connector.class").filter(|class| class.ends_with("PostgresConnector"))?;
        let name = |property: &str, usual: &'a str| config.get(property).map_or(usual, String::as_str);
        Some(Self { slot: name("slot.name", "debezium"), publication: name("publication.name", "dbz_publication") })
    }
}

impl Connector {
    /// What does not exist yet is this run's: connector, slot, publication. Written down before they are made, so that they are
    /// dropped whatever happens. A sink's group is this run's where neither it nor its connector was there.
    ///
    /// # Errors
    /// Code `not-ours` where the connector would read somebody else's slot, or change somebody else's publication.
    pub(super) async fn own(
        &self,
        connect: &ConnectClient,
        config: &ConnectorConfig,
        cx: &mut StepContext,
    ) -> Result<Claims, StepError> {
        let former = match self.former(connect).await {
            Ok(former) => former,
            Err(error) => return Err(failure(error, &ConfigRedactor::of(config), cx).await),
        };
        let mut wanted = config.clone();
        wanted.insert("name".to_owned(), self.name.clone());
        let (absent, made_at) = self.absent(config, former.as_ref(), cx).await?;
        let mut claims = Claims {
            connector: Resource::Connector(self.name.clone()),
            config: fingerprint(&wanted),
            existed: former.is_some(),
            announced: Vec::new(),
            remembered: None,
            absent,
        };
        let run = cx.run.clone();
        let put = Provenance::configured(claims.config.clone());
        match &former {
            None => claims.announce(claims.connector.clone(), put, &run.owned)?,
            Some(former) if is_own(&claims.connector, former, &run.owned) => {
                run.owned.announce_made(claims.connector.clone(), put).map_err(journal_error)?;
            }
            Some(former) => {
                run.owned.remove(&claims.connector);
                let is_known = run.owned.former().iter().any(|known| known.connector == self.name);
                claims.remembered = (!is_known).then(|| self.name.clone());
                run.owned.remember(&self.name, former, claims.config.clone()).map_err(journal_error)?;
            }
        }
        if self.sink.is_some() && former.is_none() {
            // A connector that was removed for a while has left its offsets there.
            claim(&format!("connect-{}", self.name), cx).await?;
        }
        if is_here(config, &run) {
            for resource in claims.absent.clone() {
                claims.announce(resource, Provenance::made_by(&self.name), &run.owned)?;
            }
        }
        if let Some(names) = Names::of(config).filter(|_| run.endpoints.postgres.is_some()) {
            let capture = Capture {
                slot: names.slot.to_owned(),
                config: config.clone(),
                streaming_from: None,
                made_at,
                existed: former.is_some(),
                former: former.into_iter().collect(),
            };
            run.changes.captured_by(&self.name, capture);
        }
        Ok(claims)
    }

    /// The configuration of a connector of that name, where there is one.
    async fn former(&self, connect: &ConnectClient) -> ConnectResult<Option<ConnectorConfig>> {
        if !connect.list().await?.contains(&self.name) {
            return Ok(None);
        }
        connect.config(&self.name).await.map(Some)
    }

    /// The slot and the publication that the connector is to make, as far as they are not there; and the position in the log before which
    /// it streams nothing, where that is known.
    async fn absent(
        &self,
        config: &ConnectorConfig,
        former: Option<&ConnectorConfig>,
        cx: &StepContext,
    ) -> Result<(Vec<Resource>, Option<Lsn>), StepError> {
        let Some(names) = Names::of(config) else { return Ok((Vec::new(), None)) };
        if cx.run.endpoints.postgres.is_none() || !may_be_here(config, &cx.run) {
            return Ok((Vec::new(), None));
        }
        let database: Database = cx.run.database()?;
        let present = async {
            let session = database.connect_within(PATIENCE).await?;
            let position = session.wal_position().await?;
            Ok::<_, DatabaseError>((session.slot(names.slot).await?, session.publications().await?, position))
        };
        let (slot, publications, position) =
            present.await.map_err(|error| StepError::broken("database", error.to_string()).because(error))?;
        let before = former.and_then(Names::of);
        let kept = slot.as_ref().and_then(|slot| slot.confirmed_flush_lsn);
        let made_at = kept.map_or(position, |kept| kept.min(position));
        let mut absent = Vec::new();
        match slot {
            None => absent.push(Resource::Slot(names.slot.to_owned())),
            // A physical slot cannot be read by a connector, which says so itself.
            Some(slot) if slot.plugin.is_some() && before.as_ref().is_none_or(|before| before.slot != names.slot) => {
                let harm = "a connector that reads it takes what its owner has not read yet";
                self.may_use(Resource::Slot(slot.name), "slot.name", harm, cx)?;
            }
            Some(_) => {}
        }
        let is_changed = config.get("publication.autocreate.mode").is_some_and(|mode| mode == "filtered")
            && before.as_ref().is_none_or(|before| before.publication != names.publication);
        let publication = Resource::Publication(names.publication.to_owned());
        if !publications.iter().any(|name| name == names.publication) {
            absent.push(publication);
        } else if is_changed {
            let harm = "`publication.autocreate.mode: filtered` leaves it with the tables of this connector alone";
            self.may_use(publication, "publication.name", harm, cx)?;
        }
        Ok((absent, Some(made_at)))
    }

    /// Refuses what somebody else has made, unless the run may delete that. What has the run's id in its name, or was made by a statement
    /// of the scenario, is nobody else's.
    fn may_use(&self, resource: Resource, property: &str, harm: &str, cx: &StepContext) -> Result<(), StepError> {
        let (Resource::Slot(name) | Resource::Publication(name)) = &resource else { return Ok(()) };
        let id = cx.run.id();
        let is_own = name.contains(id) || name.contains(&safe_name(id)) || cx.run.changes.has_made(&resource);
        if is_own || cx.run.may_delete(&resource).is_ok() {
            return Ok(());
        }
        let message = format!("{resource} is there, and this run did not make it: {harm}");
        let help = format!(
            "leave `{property}` out, or use `${{run.id}}` in it; where that is meant, the grant `delete` and --allow-delete permit it"
        );
        let refused = StepError::broken("not-ours", message).help(help);
        Err(if self.config.contains_key(property) { refused.at(format!("/config/{property}")) } else { refused })
    }
}

/// Whether a connector that is there is the run's own: it was confirmed, or has a configuration that the run gave it.
fn is_own(connector: &Resource, present: &ConnectorConfig, owned: &Owned) -> bool {
    let is_known = |known: Provenance| known.seen || known.configs.contains(&fingerprint(present));
    owned.contains(connector) && owned.provenance(connector).is_none_or(is_known)
}

/// Where a configuration connects to: host, port and name of the database.
fn address(config: &ConnectorConfig) -> (String, &str, &str) {
    let value = |property: &str, usual: &'static str| config.get(property).map_or(usual, String::as_str);
    (host(value("database.hostname", "")), value("database.port", "5432"), value("database.dbname", ""))
}

/// All names of this machine for itself count as one.
fn host(name: &str) -> String {
    let name = name.trim_matches(['[', ']']).to_ascii_lowercase();
    if ["localhost", "::1"].contains(&name.as_str()) { "127.0.0.1".to_owned() } else { name }
}

/// Whether a connector surely connects to the environment's database, as kscen or Connect reaches it.
fn is_here(config: &ConnectorConfig, run: &SharedRun) -> bool {
    let Ok(database) = run.database() else { return false };
    let (hostname, port, name) = address(config);
    let own = (host(&database.host()), database.port().to_string());
    let connects = run.endpoints.postgres_from_connect.as_deref().and_then(|address| address.rsplit_once(':'));
    let connects = connects.map(|(name, port)| (host(name), port.to_owned()));
    name == database.name() && [Some(own), connects].contains(&Some((hostname, port.to_owned())))
}

/// Whether it may do so: where Connect reaches the database by another name than kscen, nobody knows that name.
fn may_be_here(config: &ConnectorConfig, run: &SharedRun) -> bool {
    let Ok(database) = run.database() else { return false };
    let (_, port, name) = address(config);
    let is_hidden = run.endpoints.postgres_from_connect.is_none();
    is_here(config, run) || is_hidden && name == database.name() && port == database.port().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::journal::{Journal, open_faults};
    use std::sync::Arc;

    fn config(value: &str) -> ConnectorConfig {
        ConnectorConfig::from([("name".to_owned(), "orders".to_owned()), ("a".to_owned(), value.to_owned())])
    }

    fn claims() -> Claims {
        Claims {
            connector: Resource::Connector("orders".to_owned()),
            config: fingerprint(&config("new")),
            existed: false,
            announced: Vec::new(),
            remembered: None,
            absent: Vec::new(),
        }
    }

    #[test]
    fn what_was_refused_is_not_the_runs_and_what_it_had_made_before_stays_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("undo.journal");
        let owned = Owned::new(Arc::new(Journal::open(&path).expect("opens")));
        let mut claims = claims();
        let slot = Resource::Slot("debezium".to_owned());
        owned.announce_made(slot.clone(), Provenance::made_by("former")).expect("writes");
        let put = Provenance::configured(claims.config.clone());
        claims.announce(claims.connector.clone(), put, &owned).expect("writes");
        claims.announce(slot.clone(), Provenance::made_by("orders"), &owned).expect("writes");
        claims.announce(Resource::Publication("p".to_owned()), Provenance::made_by("orders"), &owned).expect("writes");
        assert_eq!((owned.all().len(), open_faults(&path).expect("reads").len()), (3, 3));
        claims.withdraw(&owned);
        assert_eq!(owned.all(), [slot]);
        assert_eq!(open_faults(&path).expect("reads").len(), 1);
    }

    #[test]
    fn a_connector_is_the_runs_own_by_its_configuration_or_because_it_was_confirmed() {
        let owned = Owned::new(Arc::new(Journal::none()));
        let claims = claims();
        assert!(!is_own(&claims.connector, &config("new"), &owned));
        let put = Provenance::configured(claims.config.clone());
        owned.announce_made(claims.connector.clone(), put).expect("writes");
        assert!(is_own(&claims.connector, &config("new"), &owned), "an answer was lost");
        assert!(!is_own(&claims.connector, &config("theirs"), &owned), "somebody has made one meanwhile");
        owned.confirm(&claims.connector).expect("writes");
        assert!(is_own(&claims.connector, &config("changed since"), &owned));
    }

    #[test]
    fn only_what_connect_says_is_a_refusal() {
        let refused = ConnectError::Refused { status: 409, message: String::new() };
        let invalid = ConnectError::InvalidConfig { class: "x.Y".to_owned(), fields: Vec::new() };
        let late =
            ConnectError::NotInTime { wanted: String::new(), last: String::new(), waited: Duration::from_secs(1) };
        assert!(is_refusal(&refused) && is_refusal(&invalid) && !is_refusal(&late));
    }

    #[test]
    fn addresses_are_compared_as_connect_reads_them() {
        let config = |pairs: &[(&str, &str)]| -> ConnectorConfig {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let plain = config(&[("database.hostname", "LOCALHOST"), ("database.dbname", "app")]);
        assert_eq!(address(&plain), ("127.0.0.1".to_owned(), "5432", "app"));
        let class = ("connector.class", "io.debezium.connector.postgresql.PostgresConnector");
        let usual = config(&[class]);
        let names = Names::of(&usual).expect("PostgreSQL");
        assert_eq!((names.slot, names.publication), ("debezium", "dbz_publication"));
        let given = config(&[class, ("slot.name", "s"), ("publication.name", "p")]);
        let names = Names::of(&given).expect("PostgreSQL");
        assert_eq!((names.slot, names.publication), ("s", "p"));
        assert!(Names::of(&config(&[("connector.class", "x.Y")])).is_none());
    }
}
