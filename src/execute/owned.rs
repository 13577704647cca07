//! What a run made, to be deleted at its end.

use std::sync::{Mutex, PoisonError};

/// Something that a run made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// The resources that a run made, without repetition.
#[derive(Default)]
pub struct Owned(Mutex<Vec<Resource>>);

impl Owned {
    /// The run made, or is about to make, this.
    pub fn add(&self, resource: Resource) {
        let mut owned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !owned.contains(&resource) {
            owned.push(resource);
        }
    }

    /// It exists no longer.
    pub fn remove(&self, resource: &Resource) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| known != resource);
    }

    /// Whether the run made it.
    pub fn contains(&self, resource: &Resource) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(resource)
    }

    /// Takes everything, in the order in which it has to be deleted.
    pub fn take(&self) -> Vec<Resource> {
        let mut resources = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        resources.sort_by_key(|resource| match resource {
            Resource::Connector(_) => 0,
            Resource::Slot(_) | Resource::Publication(_) => 1,
            Resource::Group(_) => 2,
            Resource::Topic(_) => 3,
        });
        resources
    }
}
