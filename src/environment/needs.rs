//! What a plan needs of its environment.

use super::{Action, Release, ServiceId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Something an environment may or may not be able to do. What may be done there is another question: see [`super::Grant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Pause, stop, start, restart and kill services.
    Faults,
    /// Erase a service's data.
    Wipe,
    /// Cut a service off from its clients.
    NetworkCut,
    /// Delay, throttle or reset a service's connections, or disturb one direction or those of brokers only.
    NetworkShape,
    /// Read logs of services.
    Logs,
    /// CPU, memory and disk of services.
    Usage,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Faults => "faults",
            Self::Wipe => "wipe",
            Self::NetworkCut => "network cut",
            Self::NetworkShape => "network faults beyond a cut",
            Self::Logs => "logs",
            Self::Usage => "usage",
        })
    }
}

/// Where KRaft controllers run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Controllers {
    /// In the broker processes.
    #[default]
    Combined,
    /// In processes of their own.
    Dedicated,
}

impl fmt::Display for Controllers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Combined => "combined",
            Self::Dedicated => "dedicated",
        })
    }
}

/// A range of Kafka versions such as `>=3.6`, `<4`, `3.6` (any 3.6.x) or `>=3.6, <4`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// As it was written.
    text: String,
    bounds: Vec<(Comparison, Vec<u32>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    Above,
    AtMost,
    Below,
    Prefix,
}

impl std::str::FromStr for VersionRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bounds = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (comparison, rest) = [
                (">=", Comparison::AtLeast),
                ("<=", Comparison::AtMost),
                (">", Comparison::Above),
                ("<", Comparison::Below),
                ("=", Comparison::Prefix),
            ]
            .into_iter()
            .find_map(|(sign, comparison)| part.strip_prefix(sign).map(|rest| (comparison, rest)))
            .unwrap_or((Comparison::Prefix, part));
            bounds.push((comparison, parse_version(rest.trim())?));
        }
        Ok(Self { text: text.trim().to_owned(), bounds })
    }
}

fn parse_version(text: &str) -> Result<Vec<u32>, String> {
    text.split('.')
        .map(|part| {
            part.parse().map_err(|_| format!("`{text}` is not a Kafka version; write 3.6, >=3.6 or \">=3.6, <4\""))
        })
        .collect()
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl VersionRange {
    /// Whether a release lies in the range; `None` where that depends on what is not known of it.
    pub fn admits_release(&self, release: &Release) -> Option<bool> {
        let (major, minor) = match release {
            Release::Exact(version) => return Some(self.admits(version)),
            Release::Minor(major, minor) => (major, minor),
        };
        // What a range admits of one minor release has no gaps: its ends, and the bounds with their neighbours, tell all.
        let named = self.bounds.iter().filter_map(|(_, bound)| bound.get(2).copied());
        let near = named.flat_map(|patch| [patch.saturating_sub(1), patch, patch.saturating_add(1)]);
        let admits = |patch: u32| self.admits(&format!("{major}.{minor}.{patch}"));
        match (admits(0), admits(u32::MAX)) {
            (true, true) => Some(true),
            (false, false) if !near.into_iter().any(admits) => Some(false),
            _ => None,
        }
    }

    /// Whether a version such as `3.6.1` lies in the range. An unreadable version does not.
    pub fn admits(&self, version: &str) -> bool {
        let Ok(version) = parse_version(version) else { return false };
        self.bounds.iter().all(|(comparison, bound)| {
            let mut padded = version.clone();
            padded.resize(padded.len().max(bound.len()), 0);
            let mut full = bound.clone();
            full.resize(padded.len(), 0);
            match comparison {
                Comparison::AtLeast => padded >= full,
                Comparison::Above => padded > full && !padded.starts_with(bound),
                Comparison::AtMost => padded <= full || padded.starts_with(bound),
                Comparison::Below => padded < full,
                Comparison::Prefix => padded.starts_with(bound),
            }
        })
    }
}

/// The union of what the steps of a plan, and its scenario's `needs`, ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Needs {
    /// Least number of brokers; 0 where Kafka is not needed.
    pub brokers: u32,
    /// Where the controllers must run, where the scenario says so.
    pub controllers: Option<Controllers>,
    /// Acceptable Kafka versions.
    pub kafka: Option<VersionRange>,
    /// Broker properties that must be in force.
    pub broker_config: BTreeMap<String, String>,
    /// Services beside Kafka.
    pub services: BTreeSet<ServiceId>,
    /// Size limit of each broker's log directory, in bytes.
    pub log_dir: Option<u64>,
    /// Size limit of the folder in which the run's archives lie, in bytes.
    pub archive_dir: Option<u64>,
    /// The brokers' virtual machines run with the flags of Kafka's own scripts, where kscen starts them.
    pub kafkas_jvm: bool,
    /// What must be possible.
    pub capabilities: BTreeSet<Capability>,
    /// What is done to services: who has to be allowed that elsewhere can say so before.
    pub actions: BTreeSet<Action>,
    /// The scenario calls its broker `kafka`, which says which one only where there is one.
    pub only_broker: bool,
    /// The stack must not be shared with another scenario (a `wipe`, private broker settings).
    pub private: bool,
}

impl Needs {
    /// A running broker, nothing else.
    pub fn kafka() -> Self {
        Self { brokers: 1, ..Self::default() }
    }

    /// Adds a capability.
    #[must_use]
    pub fn with(mut self, capability: Capability) -> Self {
        self.capabilities.insert(capability);
        self
    }

    /// Adds a service beside Kafka.
    #[must_use]
    pub fn service(mut self, service: ServiceId) -> Self {
        self.services.insert(service);
        self
    }

    /// Adds all that `other` needs.
    pub fn union(&mut self, other: &Self) {
        self.brokers = self.brokers.max(other.brokers);
        self.controllers = self.controllers.or(other.controllers);
        if self.kafka.is_none() {
            self.kafka.clone_from(&other.kafka);
        }
        self.broker_config.extend(other.broker_config.clone());
        self.services.extend(&other.services);
        self.log_dir = self.log_dir.or(other.log_dir);
        self.archive_dir = self.archive_dir.or(other.archive_dir);
        self.kafkas_jvm |= other.kafkas_jvm;
        self.capabilities.extend(&other.capabilities);
        self.actions.extend(&other.actions);
        self.only_broker |= other.only_broker;
        self.private |= other.private;
    }
}

#[cfg(test)]
mod tests {
    use super::{Release, VersionRange};

    #[test]
    fn version_ranges_admit_what_they_say() {
        let cases = [
            (">=3.6", "3.6.1", true),
            (">=3.6", "3.5.2", false),
            ("<4", "3.9.1", true),
            ("<4", "4.0.0", false),
            (">3.6", "3.6.1", false),
            (">3.6", "3.7.0", true),
            ("<=3.6", "3.6.2", true),
            ("3.6", "3.6.1", true),
            ("3.6", "3.60.0", false),
            (">=3.6, <4", "4.3.1", false),
        ];
        for (range, version, expected) in cases {
            let parsed: VersionRange = range.parse().expect(range);
            assert_eq!(parsed.admits(version), expected, "{range} {version}");
        }
        assert!(">= three".parse::<VersionRange>().is_err());
    }

    #[test]
    fn of_a_release_without_its_patch_a_range_says_only_what_holds_for_all() {
        let cases = [
            (">=3.6", Some(true)),
            (">=4", Some(false)),
            ("3.6", Some(true)),
            ("<3.6", Some(false)),
            (">=3.6.1", None),
            ("<3.6.2", None),
            ("3.6.1", None),
            (">3.6.0, <3.6.2", None),
            ("<=3.6", Some(true)),
            (">3.6", Some(false)),
            (">=3.5.1, <4", Some(true)),
        ];
        for (range, expected) in cases {
            let parsed: VersionRange = range.parse().expect(range);
            assert_eq!(parsed.admits_release(&Release::Minor(3, 6)), expected, "{range}");
            assert_eq!(parsed.to_string(), range);
        }
    }
}
