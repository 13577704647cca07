//! What a run made, to be deleted at its end.

use super::journal::Journal;
use super::provenance::Provenance;
use super::undo::{Journalled, Undo};
use crate::accounting::TopicIdBytes;
use crate::connect::ConnectorConfig;
use crate::ground::lock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// Something that a run made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// A topic.
    Topic(String),
    /// A consumer group.
    Group(String),
    /// A connector; it is deleted before the topics it writes.
    Connector(String),
    /// A replication slot of PostgreSQL.
    Slot(String),
    /// A publication of PostgreSQL.
    Publication(String),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Group(name) => write!(f, "group {name}"),
            Self::Connector(name) => write!(f, "connector {name}"),
            Self::Slot(name) => write!(f, "replication slot {name}"),
            Self::Publication(name) => write!(f, "publication {name}"),
        }
    }
}

/// Something of the run, with its number in the journal, where it stands there.
struct Own {
    resource: Resource,
    number: Option<u64>,
    provenance: Option<Provenance>,
    /// Which topic it is, where the brokers have told.
    topic: Option<TopicIdBytes>,
    /// Whether the answer to the request that makes it was lost, and nobody could say what came of it.
    doubtful: bool,
}

impl Own {
    fn of(resource: Resource) -> Self {
        Self { resource, number: None, provenance: None, topic: None, doubtful: false }
    }
}

/// A connector that was there before the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerConnector {
    /// Its name.
    pub connector: String,
    /// Its configuration, as it was.
    pub config: ConnectorConfig,
    /// The fingerprints of those that the run gave it.
    pub put: Vec<String>,
}

/// The same, with its number in the journal.
struct Former {
    was: FormerConnector,
    number: u64,
}

/// The resources that a run made, without repetition; and what it changed of others'.
pub struct Owned {
    all: Mutex<Vec<Own>>,
    former: Mutex<Vec<Former>>,
    /// The ids of the topics that the run made last, by their names, whatever became of them.
    topics: Mutex<BTreeMap<String, TopicIdBytes>>,
    journal: Arc<Journal>,
}

impl Owned {
    /// Nothing yet.
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { all: Mutex::default(), former: Mutex::default(), topics: Mutex::default(), journal }
    }

    /// The run has made a topic of that name, also one that stays; the brokers know it by that id, where they have ids.
    pub fn topic_made(&self, name: &str, id: Option<TopicIdBytes>) {
        let mut topics = lock(&self.topics);
        match id {
            Some(id) => _ = topics.insert(name.to_owned(), id),
            None => _ = topics.remove(name),
        }
    }

    /// The topic of that name that the run made last, also where it is gone.
    pub fn last_made(&self, name: &str) -> Option<TopicIdBytes> {
        lock(&self.topics).get(name).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Own>> {
        lock(&self.all)
    }

    /// The run made, or is about to make, this.
    pub fn add(&self, resource: Resource) {
        if !self.contains(&resource) {
            self.lock().push(Own::of(resource));
        }
    }

    /// The run has made this just now: whatever it had made of that name before is gone.
    pub fn made(&self, resource: Resource) {
        self.remove(&resource);
        self.add(resource);
    }

    /// [`Owned::add`] for what does harm where it is left behind, as a replication slot does, which pins the database's log:
    /// it stands in the undo journal, so that it is deleted even where this process is killed. Its name has to be the run's alone.
    ///
    /// # Errors
    /// Where the journal cannot be written: the resource must not be made then.
    pub fn announce(&self, resource: Resource) -> io::Result<()> {
        if self.contains(&resource) {
            return Ok(());
        }
        self.write(resource, None)
    }

    /// The same of what others may have made by the time it is to be deleted: `provenance` tells whether they have.
    ///
    /// # Errors
    /// See [`Owned::announce`].
    pub fn announce_made(&self, resource: Resource, provenance: Provenance) -> io::Result<()> {
        let former = self.provenance(&resource);
        let mut known = former.clone().unwrap_or_default();
        known.configs.extend(
            provenance
                .configs
                .into_iter()
                .filter(|config| former.as_ref().is_none_or(|former| !former.configs.contains(config))),
        );
        known.connector = provenance.connector.or(known.connector);
        known.seen |= provenance.seen;
        if former.as_ref() == Some(&known) {
            return Ok(());
        }
        self.write(resource, Some(known))
    }

    /// It is there, and was not before the run asked for it.
    ///
    /// # Errors
    /// Where the journal cannot be written. Whoever reads it later then takes it for less sure than it is.
    pub fn confirm(&self, resource: &Resource) -> io::Result<()> {
        match self.provenance(resource).filter(|known| !known.seen) {
            Some(known) => self.write(resource.clone(), Some(Provenance { seen: true, ..known })),
            None => Ok(()),
        }
    }

    /// What tells something of the run from what may have its name later.
    pub fn provenance(&self, resource: &Resource) -> Option<Provenance> {
        self.lock().iter().find(|own| own.resource == *resource)?.provenance.clone()
    }

    fn with(&self, resource: &Resource, change: impl FnOnce(&mut Own)) {
        if let Some(own) = self.lock().iter_mut().find(|own| own.resource == *resource) {
            change(own);
        }
    }

    /// The run has made this topic, which the brokers know by that id, where they have ids.
    pub fn identify(&self, topic: &Resource, id: Option<TopicIdBytes>) {
        self.with(topic, |own| (own.topic, own.doubtful) = (id, false));
    }

    /// Whether the run has made it nobody knows.
    pub fn doubt(&self, resource: &Resource) {
        self.with(resource, |own| own.doubtful = true);
    }

    /// Whether it is not known that the run has made what it asked for.
    pub fn is_doubtful(&self, resource: &Resource) -> bool {
        self.lock().iter().any(|own| own.resource == *resource && own.doubtful)
    }

    /// Which topic of that name the run has made, as far as it is known.
    pub fn identity(&self, topic: &Resource) -> Option<TopicIdBytes> {
        self.lock().iter().find(|own| own.resource == *topic)?.topic
    }

    /// Writes an entry of the journal, in the place of one that it has.
    fn write(&self, resource: Resource, provenance: Option<Provenance>) -> io::Result<()> {
        let fault = resource.to_string();
        let undo = Undo::Delete { resource: resource.clone(), provenance: provenance.clone() };
        let number = self.journal.announce(&Journalled { fault, undo, recipe: None })?;
        self.remove(&resource);
        self.lock().push(Own { number: Some(number), provenance, ..Own::of(resource) });
        Ok(())
    }

    /// The run is about to give a connector that it did not make a configuration of this fingerprint: its own is given back at the end, and
    /// by `kscen undo`.
    ///
    /// # Errors
    /// Where the journal cannot be written: the connector must not be changed then.
    pub fn remember(&self, connector: &str, config: &ConnectorConfig, fingerprint: String) -> io::Result<()> {
        let mut former = lock(&self.former);
        let known = former.iter().position(|former| former.was.connector == connector);
        let mut was = match known {
            Some(at) if former[at].was.put.contains(&fingerprint) => return Ok(()),
            Some(at) => former[at].was.clone(),
            None => FormerConnector { connector: connector.to_owned(), config: config.clone(), put: Vec::new() },
        };
        was.put.push(fingerprint);
        let FormerConnector { connector, config, put } = was.clone();
        let fault = format!("change of connector {connector}");
        let undo = Undo::Restore { connector, config, put };
        let number = self.journal.announce(&Journalled { fault, undo, recipe: None })?;
        if let Some(at) = known {
            self.journal.strike(former.remove(at).number);
        }
        former.push(Former { was, number });
        Ok(())
    }

    /// The connectors that were there before, as they were.
    pub fn former(&self) -> Vec<FormerConnector> {
        lock(&self.former).iter().map(|former| former.was.clone()).collect()
    }

    /// A connector is as it was, or is not to be given back any more.
    pub fn forget(&self, connector: &str) {
        lock(&self.former).retain(|former| {
            let is_it = former.was.connector == connector;
            if is_it {
                self.journal.strike(former.number);
            }
            !is_it
        });
    }

    /// It exists no longer.
    pub fn remove(&self, resource: &Resource) {
        self.lock().retain(|own| {
            if own.resource == *resource {
                own.number.into_iter().for_each(|number| self.journal.strike(number));
            }
            own.resource != *resource
        });
    }

    /// Whether the run made it.
    pub fn contains(&self, resource: &Resource) -> bool {
        self.lock().iter().any(|own| own.resource == *resource)
    }

    /// Everything, in the order in which it has to be deleted.
    pub fn all(&self) -> Vec<Resource> {
        let mut resources: Vec<_> = self.lock().iter().map(|own| own.resource.clone()).collect();
        resources.sort_by_key(|resource| match resource {
            Resource::Connector(_) => 0,
            Resource::Slot(_) | Resource::Publication(_) => 1,
            Resource::Group(_) => 2,
            Resource::Topic(_) => 3,
        });
        resources
    }

    /// Whether what is not deleted outlives this program: not on a stack that ends with it.
    pub fn outlives(&self) -> bool {
        self.journal.keeps()
    }

    /// Everything is meant to stay.
    pub fn keep(&self) {
        lock(&self.former).drain(..).for_each(|former| self.journal.strike(former.number));
        for own in self.lock().drain(..) {
            own.number.into_iter().for_each(|number| self.journal.strike(number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::journal::open_faults;

    #[test]
    fn what_others_connectors_were_is_written_down_until_it_is_given_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("undo.journal");
        let owned = Owned::new(Arc::new(Journal::open(&path).expect("opens")));
        let config = |value: &str| ConnectorConfig::from([("a".to_owned(), value.to_owned())]);
        owned.remember("theirs", &config("old"), "1".to_owned()).expect("writes");
        // A second change does not make the first one the former state; the same one again changes nothing.
        owned.remember("theirs", &config("new"), "2".to_owned()).expect("writes");
        owned.remember("theirs", &config("new"), "1".to_owned()).expect("writes");
        let put = vec!["1".to_owned(), "2".to_owned()];
        let was = FormerConnector { connector: "theirs".to_owned(), config: config("old"), put: put.clone() };
        assert_eq!(owned.former(), [was]);
        let undo = Undo::Restore { connector: "theirs".to_owned(), config: config("old"), put };
        let open = || open_faults(&path).expect("reads").into_iter().map(|entry| entry.undo).collect::<Vec<_>>();
        assert_eq!(open(), [undo]);
        assert!(owned.all().is_empty(), "it is not this run's to delete");
        owned.forget("theirs");
        assert!(open().is_empty() && owned.former().is_empty());
        owned.remember("theirs", &config("old"), "1".to_owned()).expect("writes");
        owned.keep();
        assert!(open().is_empty(), "with --keep the change is meant");
    }

    #[test]
    fn what_is_known_of_a_thing_stands_in_its_only_entry_of_the_journal() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("undo.journal");
        let owned = Owned::new(Arc::new(Journal::open(&path).expect("opens")));
        let resource = Resource::Connector("orders".to_owned());
        let entries = || {
            let open = open_faults(&path).expect("reads").into_iter();
            open.map(|entry| match entry.undo {
                Undo::Delete { provenance, .. } => provenance,
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
        };
        let known = |configs: &[&str], seen| {
            let configs = configs.iter().map(|config| (*config).to_owned()).collect();
            vec![Some(Provenance { configs, connector: None, seen })]
        };
        owned.announce_made(resource.clone(), Provenance::configured("1".to_owned())).expect("writes");
        assert_eq!(entries(), known(&["1"], false));
        owned.confirm(&resource).expect("writes");
        assert_eq!(entries(), known(&["1"], true));
        owned.announce_made(resource.clone(), Provenance::configured("2".to_owned())).expect("writes");
        assert_eq!(entries(), known(&["1", "2"], true));
        assert_eq!(owned.all(), std::slice::from_ref(&resource));
        owned.remove(&resource);
        assert!(entries().is_empty() && owned.all().is_empty(), "it was never made");
        owned.confirm(&resource).expect("nothing to write");
        assert!(entries().is_empty());
    }

    #[test]
    fn a_topic_is_told_by_more_than_its_name() {
        let owned = Owned::new(Arc::new(Journal::none()));
        let topic = Resource::Topic("orders".to_owned());
        owned.identify(&topic, Some([7; 16]));
        assert_eq!(owned.identity(&topic), None, "it is not the run's");
        owned.add(topic.clone());
        owned.doubt(&topic);
        assert!(owned.is_doubtful(&topic) && owned.contains(&topic));
        owned.identify(&topic, Some([7; 16]));
        assert!(!owned.is_doubtful(&topic), "it was found");
        assert_eq!(owned.identity(&topic), Some([7; 16]));
        owned.topic_made("orders", Some([7; 16]));
        owned.made(topic.clone());
        assert_eq!(owned.identity(&topic), None, "another one has its name");
        owned.remove(&topic);
        assert_eq!(owned.last_made("orders"), Some([7; 16]), "whatever became of it");
        owned.topic_made("orders", None);
        assert_eq!(owned.last_made("orders"), None, "another one, whose id nobody told");
    }
}
