//! What a run made, to be deleted at its end.

use super::journal::Journal;
use super::undo::{Journalled, Undo};
use crate::connect::ConnectorConfig;
use crate::ground::lock;
use serde::{Deserialize, Serialize};
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
}

/// A connector that was there before the run, as it was.
struct Former {
    connector: String,
    config: ConnectorConfig,
    number: u64,
}

/// The resources that a run made, without repetition; and what it changed of others'.
pub struct Owned {
    all: Mutex<Vec<Own>>,
    former: Mutex<Vec<Former>>,
    journal: Arc<Journal>,
}

impl Owned {
    /// Nothing yet.
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { all: Mutex::default(), former: Mutex::default(), journal }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Own>> {
        lock(&self.all)
    }

    /// The run made, or is about to make, this.
    pub fn add(&self, resource: Resource) {
        if !self.contains(&resource) {
            self.lock().push(Own { resource, number: None });
        }
    }

    /// [`Owned::add`] for what does harm where it is left behind, as a replication slot does, which pins the database's log:
    /// it stands in the undo journal, so that it is deleted even where this process is killed.
    ///
    /// # Errors
    /// Where the journal cannot be written: the resource must not be made then.
    pub fn announce(&self, resource: Resource) -> io::Result<()> {
        if self.contains(&resource) {
            return Ok(());
        }
        let undo = Undo::Delete { resource: resource.clone() };
        let number = self.journal.announce(&Journalled { fault: resource.to_string(), undo, recipe: None })?;
        self.lock().push(Own { resource, number: Some(number) });
        Ok(())
    }

    /// The run is about to change a connector that it did not make: its configuration is given back at the end, and by `kscen undo`.
    ///
    /// # Errors
    /// Where the journal cannot be written: the connector must not be changed then.
    pub fn remember(&self, connector: &str, config: &ConnectorConfig) -> io::Result<()> {
        let mut former = lock(&self.former);
        if former.iter().any(|former| former.connector == connector) {
            return Ok(());
        }
        let undo = Undo::Restore { connector: connector.to_owned(), config: config.clone() };
        let fault = format!("change of connector {connector}");
        let number = self.journal.announce(&Journalled { fault, undo, recipe: None })?;
        former.push(Former { connector: connector.to_owned(), config: config.clone(), number });
        Ok(())
    }

    /// The connectors that were there before, as they were.
    pub fn former(&self) -> Vec<(String, ConnectorConfig)> {
        lock(&self.former).iter().map(|former| (former.connector.clone(), former.config.clone())).collect()
    }

    /// A connector is as it was, or is not to be given back any more.
    pub fn forget(&self, connector: &str) {
        lock(&self.former).retain(|former| {
            if former.connector == connector {
                self.journal.strike(former.number);
            }
            former.connector != connector
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
        owned.remember("theirs", &config("old")).expect("writes");
        // A second change does not make the first one the former state.
        owned.remember("theirs", &config("new")).expect("writes");
        assert_eq!(owned.former(), [("theirs".to_owned(), config("old"))]);
        let undo = Undo::Restore { connector: "theirs".to_owned(), config: config("old") };
        let open = || open_faults(&path).expect("reads").into_iter().map(|entry| entry.undo).collect::<Vec<_>>();
        assert_eq!(open(), [undo]);
        assert!(owned.all().is_empty(), "it is not this run's to delete");
        owned.forget("theirs");
        assert!(open().is_empty() && owned.former().is_empty());
        owned.remember("theirs", &config("old")).expect("writes");
        owned.keep();
        assert!(open().is_empty(), "with --keep the change is meant");
    }
}
