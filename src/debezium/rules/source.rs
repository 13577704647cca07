//! What the rules of a connector are made of, as data.

use super::{CaptureRules, PublicationFacts};
use crate::connect::ConnectorConfig;
use serde::{Deserialize, Serialize};

/// What the rules of a connector are made of. It holds no credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesSource {
    connector: String,
    settings: ConnectorConfig,
    publication: PublicationFacts,
    /// The forms of its values are not known for certain.
    guessed: bool,
}

impl CaptureRules {
    /// What they are made of.
    pub fn source(&self) -> RulesSource {
        RulesSource {
            connector: self.connector.clone(),
            settings: self.settings.clone(),
            publication: self.publication.clone(),
            guessed: self.modes.guessed,
        }
    }
}

impl RulesSource {
    /// The rules.
    pub fn rules(&self) -> CaptureRules {
        let mut rules = CaptureRules::of(&self.connector, &self.settings, self.publication.clone());
        rules.modes.guessed = self.guessed;
        rules
    }
}
