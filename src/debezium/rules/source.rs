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
    /// What it was told before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<ConnectorConfig>,
    /// Which of its rules, where its records have several forms.
    #[serde(default, skip_serializing_if = "is_first")]
    part: usize,
}

fn is_first(part: &usize) -> bool {
    *part == 0
}

impl CaptureRules {
    /// What they are made of.
    pub fn source(&self) -> RulesSource {
        RulesSource {
            connector: self.connector.clone(),
            settings: self.settings.clone(),
            publication: self.publication.clone(),
            guessed: self.modes.guessed,
            former: self.former_settings(),
            part: self.number(),
        }
    }
}

impl RulesSource {
    /// The rules.
    pub fn rules(&self) -> CaptureRules {
        let mut all = CaptureRules::each(&self.connector, &self.settings, &self.former, &self.publication);
        // Whoever wrote it has numbered them alike.
        let mut rules = all.swap_remove(self.part.min(all.len() - 1));
        rules.modes.guessed = self.guessed;
        rules
    }
}
