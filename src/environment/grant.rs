//! What an environment grants: each kind of change has a name, and what is not granted is refused before anything starts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A kind of change that steps make. An environment of `kscen.yaml` lists in `allow` what may be done in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Write records to topics.
    Produce,
    /// Create topics; they are deleted again at the end of a run.
    Topics,
    /// Join consumer groups and commit offsets; a group that the run made is deleted again at its end.
    Groups,
    /// Delete things that the run did not make; it also takes `--allow-delete` on the command line.
    Delete,
    /// Pause, stop, kill, wipe and disturb services and connectors, and move replicas of topics that the run did not make.
    Faults,
    /// Run SQL on the database that may change it.
    Sql,
    /// Create connectors and change them; what a connector was before is restored at the end of a run.
    Connectors,
    /// Send HTTP requests other than GET.
    Http,
    /// Run commands on this machine.
    Run,
    /// Keep the content of topics in files.
    Backup,
    /// Write topics again from files.
    Restore,
    /// Give topics the ACLs back that they had elsewhere.
    Acls,
}

impl Grant {
    /// Every grant, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Produce,
        Self::Topics,
        Self::Groups,
        Self::Delete,
        Self::Faults,
        Self::Sql,
        Self::Connectors,
        Self::Http,
        Self::Run,
        Self::Backup,
        Self::Restore,
        Self::Acls,
    ];

    /// What it takes to write topics again in a cluster, with the offsets of groups, and with ACLs.
    pub fn of_restore(groups: bool, acls: bool) -> Vec<Self> {
        let all = [(true, Self::Restore), (groups, Self::Groups), (acls, Self::Acls)];
        all.into_iter().filter_map(|(wanted, grant)| wanted.then_some(grant)).collect()
    }

    /// The word in `allow`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Topics => "topics",
            Self::Groups => "groups",
            Self::Delete => "delete",
            Self::Faults => "faults",
            Self::Sql => "sql",
            Self::Connectors => "connectors",
            Self::Http => "http",
            Self::Run => "run",
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Acls => "acls",
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::Grant;

    #[test]
    fn the_word_of_a_grant_is_the_one_in_the_file() {
        for grant in Grant::ALL {
            let read: Grant = serde_json::from_value(grant.word().into()).expect("a word");
            assert_eq!(read, grant);
        }
    }
}
