//! Whose something is that has the name of what a run made: its name alone does not tell.

use super::owned::Resource;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What tells a connector, a replication slot or a publication that a run made, or was about to make, from what has its name later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The fingerprints of the configurations that the run gave the connector.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<String>,
    /// The connector that makes the slot or the publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// Whether it was not there before the run asked for it, and was there afterwards.
    #[serde(default)]
    pub seen: bool,
}

impl Provenance {
    /// Of a connector that is about to get a configuration of this fingerprint.
    pub fn configured(fingerprint: String) -> Self {
        Self { configs: vec![fingerprint], ..Self::default() }
    }

    /// Of a slot or a publication that this connector is about to make.
    pub fn made_by(connector: &str) -> Self {
        Self { connector: Some(connector.to_owned()), ..Self::default() }
    }
}

/// What came of deleting or restoring something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mended {
    /// It was done.
    Done,
    /// There is no such thing any more.
    Gone,
    /// Nothing was done, for this reason.
    Left(&'static str),
}

/// How far a deletion may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeletionRight {
    /// The run made it: whoever still reads a slot is disconnected.
    Sure,
    /// A slot only while nobody reads it.
    WhileIdle,
    /// A connector only where its configuration has one of these fingerprints.
    WhileConfigured(Vec<String>),
    /// Not at all, for this reason.
    None(&'static str),
}

/// What became of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It was the run's, or is as it was before the run: nothing holds what the run made with it.
    Done,
    /// It was gone.
    Gone,
    /// It is somebody else's by now.
    Left,
    /// Nobody knows: it could not be asked, or deleted.
    Unknown,
}

/// What became of the connectors of a clean-up: whether slots and publications are still the run's depends on it.
#[derive(Debug, Default)]
pub struct ConnectorFates(BTreeMap<String, Fate>);

impl ConnectorFates {
    /// What came of deleting or restoring a connector; `None` where that failed.
    pub fn note(&mut self, connector: &str, mended: Option<Mended>) {
        let fate = match mended {
            Some(Mended::Done) => Fate::Done,
            Some(Mended::Gone) => Fate::Gone,
            Some(Mended::Left(_)) => Fate::Left,
            None => Fate::Unknown,
        };
        self.0.insert(connector.to_owned(), fate);
    }

    /// How far the deletion of something may go, whose journal entry or owner says this of it. `is_run`: the run itself asks, and not
    /// somebody who finds its journal later.
    pub fn right(&self, resource: &Resource, provenance: Option<&Provenance>, is_run: bool) -> DeletionRight {
        // The run's own account of the database, whose names no others have; and what versions before wrote.
        let Some(known) = provenance else { return DeletionRight::Sure };
        if let Resource::Connector(_) = resource {
            return if is_run && known.seen {
                DeletionRight::Sure
            } else {
                DeletionRight::WhileConfigured(known.configs.clone())
            };
        }
        let fate = known.connector.as_ref().and_then(|connector| self.0.get(connector));
        match (known.seen, fate) {
            (true, Some(Fate::Done | Fate::Unknown)) => DeletionRight::Sure,
            (true, None) if is_run => DeletionRight::Sure,
            (true, Some(Fate::Left)) if matches!(resource, Resource::Publication(_)) => {
                DeletionRight::None("it is left as it is: the connector that made it is somebody else's by now")
            }
            (false, Some(Fate::Gone | Fate::Left)) => {
                DeletionRight::None("it is left as it is: nothing says that the run's connector has made it")
            }
            _ => DeletionRight::WhileIdle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_longer_the_runs_own_is_not_deleted_by_its_name() {
        use DeletionRight::{None as Not, Sure, WhileConfigured, WhileIdle};
        let connector = Resource::Connector("orders".to_owned());
        let put = Provenance::configured("f".to_owned());
        let seen = |known: &Provenance| Provenance { seen: true, ..known.clone() };
        let fates = ConnectorFates::default();
        let configured = WhileConfigured(vec!["f".to_owned()]);
        assert_eq!(fates.right(&connector, Some(&put), true), configured, "its creation was never confirmed");
        assert_eq!(fates.right(&connector, Some(&seen(&put)), true), Sure);
        assert_eq!(fates.right(&connector, Some(&seen(&put)), false), configured, "days may have passed");
        assert_eq!(fates.right(&connector, None, false), Sure, "as versions before wrote it");

        let slot = Resource::Slot("debezium".to_owned());
        let publication = Resource::Publication("dbz_publication".to_owned());
        let made = Provenance::made_by("orders");
        let after = |mended: Option<Mended>| {
            let mut fates = ConnectorFates::default();
            fates.note("orders", mended);
            fates
        };
        for resource in [&slot, &publication] {
            for fates in [after(Some(Mended::Done)), after(None)] {
                assert_eq!(fates.right(resource, Some(&seen(&made)), false), Sure);
                assert_eq!(fates.right(resource, Some(&made), true), WhileIdle);
            }
            for fates in [after(Some(Mended::Gone)), after(Some(Mended::Left("")))] {
                assert!(matches!(fates.right(resource, Some(&made), true), Not(_)), "{resource}");
            }
            assert_eq!(fates.right(resource, Some(&seen(&made)), true), Sure);
            assert_eq!(fates.right(resource, Some(&seen(&made)), false), WhileIdle);
        }
        let left = after(Some(Mended::Left("")));
        assert_eq!(left.right(&slot, Some(&seen(&made)), false), WhileIdle, "nobody who reads it is disconnected");
        assert!(matches!(left.right(&publication, Some(&seen(&made)), false), Not(_)));
    }
}
