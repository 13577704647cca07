//! What a run made, to be deleted at its end.

use super::journal::Journal;
use super::undo::{Journalled, Undo};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// The resources that a run made, without repetition.
pub struct Owned {
    all: Mutex<Vec<Own>>,
    journal: Arc<Journal>,
}

impl Owned {
    /// Nothing yet.
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { all: Mutex::default(), journal }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Own>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Everything is meant to stay.
    pub fn keep(&self) {
        for own in self.lock().drain(..) {
            own.number.into_iter().for_each(|number| self.journal.strike(number));
        }
    }
}
