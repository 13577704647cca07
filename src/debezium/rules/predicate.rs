//! When a transform applies: Kafka Connect's predicates.

use super::pattern::Pattern;
use crate::connect::ConnectorConfig;
use std::fmt;

/// When a transform applies.
#[derive(Clone, Debug)]
pub(super) enum When {
    /// To every record.
    Always,
    /// To the records of topics whose names match (`TopicNameMatches`), or to all others.
    Topics { setting: String, pattern: Pattern, negated: bool },
    /// By something that is not evaluated: the setting.
    Unknown(String),
}

impl When {
    pub(super) fn of(config: &ConnectorConfig, transform: &str) -> Self {
        let Some(name) = config.get(&format!("transforms.{transform}.predicate")) else { return Self::Always };
        let setting = format!("transforms.{transform}.predicate={name}");
        let own = |key: &str| config.get(&format!("predicates.{name}.{key}"));
        let by_topic = own("type").is_some_and(|class| class.ends_with("TopicNameMatches"));
        match own("pattern").map(|pattern| Pattern::new(pattern, false)) {
            Some(pattern) if by_topic && pattern.is_understood() => {
                let negated = config.get(&format!("transforms.{transform}.negate")).is_some_and(|word| word == "true");
                Self::Topics { setting, pattern, negated }
            }
            _ => Self::Unknown(setting),
        }
    }

    /// Whether it applies to the records of a topic that has one of these names; `None` where that cannot be told.
    pub(super) fn applies(&self, names: &[String]) -> Option<bool> {
        match self {
            Self::Always => Some(true),
            Self::Topics { pattern, negated, .. } => {
                let mut all = names.iter().map(|name| Some(pattern.matches(name)? != *negated));
                let first = all.next()??;
                all.all(|other| other == Some(first)).then_some(first)
            }
            Self::Unknown(_) => None,
        }
    }
}

impl fmt::Display for When {
    /// The setting, with what it says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => Ok(()),
            Self::Topics { setting, pattern, negated } => {
                write!(f, "{setting} ({}{})", if *negated { "not " } else { "" }, pattern.source())
            }
            Self::Unknown(setting) => f.write_str(setting),
        }
    }
}
