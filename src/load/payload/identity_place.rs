//! Where a message carries the identity by which kscen tells it from all others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a message carries its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityPlace {
    /// In a first field `kscen` of a JSON object.
    Field,
    /// In 40 bytes before the value.
    Prefix,
    /// In a header `kscen`; the value is left as it is.
    Header,
    /// Nowhere; the message is left as it is, and no delivery of it can be judged.
    None,
}
