//! ACLs and settings that a migration was to give and could not: who asks for them again is not told that nothing is left to do.

use super::event::MigrateListener;
use super::migration_error::MigrationError;
use crate::backup::manifest::Manifest;
use crate::wire::configs::{self, SettingSource};
use crate::wire::{WireCluster, acls};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is said where the target cannot take ACLs.
const NO_AUTHORIZER: &str = "the target has no authorizer: the ACLs of the topics are not taken over";

/// What could not be given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Withheld {
    /// There were ACLs, and the target had no authorizer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    authorizer: bool,
    /// Topics whose ACLs could not be seen in the source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    acls: Vec<String>,
    /// Topics whose settings could not be seen there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    settings: Vec<String>,
}

impl Withheld {
    /// Of what was read last. `takes`: whether the target takes the ACLs that there are; nothing where there are none, or nobody asks for any.
    pub(super) fn of(manifest: &Manifest, wants_acls: bool, takes: Option<bool>) -> Self {
        let names = |unseen: fn(&crate::backup::manifest::KeptTopic) -> bool| -> Vec<String> {
            manifest.topics.iter().filter(|topic| unseen(topic)).map(|topic| topic.name.clone()).collect()
        };
        let acls = if wants_acls { names(|topic| topic.acls_unseen) } else { Vec::new() };
        Self { authorizer: takes == Some(false), acls, settings: names(|topic| topic.config.is_none()) }
    }

    /// Says whose ACLs are left out because they may not be seen.
    pub(super) fn tell(&self, listener: &MigrateListener) {
        for name in &self.acls {
            listener
                .notice(format!("the ACLs of topic `{name}` may not be seen in the source: they are not taken over"));
        }
    }

    /// What of it could be given now, as `without …`. Says of the rest that it still cannot. `names` are those of the topics in the target by
    /// those in the source.
    ///
    /// # Errors
    /// A cluster does not say.
    pub(super) async fn could_be_given(
        &self,
        (source, target): (&WireCluster, &WireCluster),
        names: &BTreeMap<&str, &str>,
        wants_acls: bool,
        listener: &MigrateListener,
    ) -> Result<Option<String>, MigrationError> {
        if wants_acls && self.authorizer && has_authorizer(target, names, listener).await? {
            return Ok(Some("without ACLs, of which the target took none then".to_owned()));
        }
        for name in self.acls.iter().filter(|_| wants_acls) {
            let during = || MigrationError::cluster("the source", format!("asking for the ACLs of topic `{name}`"));
            match acls::of_topic(source, name).await {
                Err(error) if error.is_denied() => Self { acls: vec![name.clone()], ..Self::default() }.tell(listener),
                found => {
                    let found = found.map_err(during())?.unwrap_or_default();
                    if found.iter().any(|acl| is_own((&acl.pattern, &acl.resource), name)) {
                        return Ok(Some(format!("without the ACLs of `{name}`, which could not be seen then")));
                    }
                }
            }
        }
        for name in &self.settings {
            let during = || MigrationError::cluster("the source", format!("asking the settings of topic `{name}`"));
            match configs::of_topic(source, name).await {
                Err(error) if error.is_denied() => listener.notice(format!(
                    "the settings of topic `{name}` may not be seen in the source: they are not taken over"
                )),
                found => {
                    if found.map_err(during())?.values().any(|setting| setting.source == SettingSource::Topic) {
                        return Ok(Some(format!("without the settings of `{name}`, which could not be seen then")));
                    }
                }
            }
        }
        Ok(None)
    }
}

/// Whether the target takes the ACLs of these topics; nothing where there are none. Says so where it does not.
///
/// # Errors
/// The target does not say.
pub(super) async fn takes_acls(
    target: &WireCluster,
    manifest: &Manifest,
    name: impl Fn(&str) -> String,
    listener: &MigrateListener,
) -> Result<Option<bool>, MigrationError> {
    if !has_acls(manifest) {
        return Ok(None);
    }
    let names: Vec<(&str, String)> =
        manifest.topics.iter().map(|topic| (topic.name.as_str(), name(&topic.name))).collect();
    let names = names.iter().map(|(name, to)| (*name, to.as_str())).collect();
    has_authorizer(target, &names, listener).await.map(Some)
}

/// Whether there are ACLs that a migration gives.
fn has_acls(manifest: &Manifest) -> bool {
    manifest
        .topics
        .iter()
        .any(|topic| topic.acls.iter().flatten().any(|acl| is_own((&acl.pattern, &acl.resource), &topic.name)))
}

/// Whether an ACL is a topic's own: those by prefix or for all topics are not.
fn is_own((pattern, resource): (&str, &str), topic: &str) -> bool {
    pattern == "LITERAL" && resource == topic
}

async fn has_authorizer(
    target: &WireCluster,
    names: &BTreeMap<&str, &str>,
    listener: &MigrateListener,
) -> Result<bool, MigrationError> {
    let Some(to) = names.values().next() else { return Ok(false) };
    let during = MigrationError::cluster("the target", format!("asking for the ACLs of topic `{to}`"));
    let has_authorizer = acls::of_topic(target, to).await.map_err(during)?.is_some();
    if !has_authorizer {
        listener.notice(NO_AUTHORIZER);
    }
    Ok(has_authorizer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn manifest(config: &Value, acls: &Value, unseen: bool) -> Manifest {
        let topic = json!({
            "name": "orders", "folder": "topics/orders", "replication": 1, "config": config, "acls": acls, "acls_unseen": unseen,
            "partitions": [],
        });
        let manifest = json!({
            "format": "kscen-archive", "version": 1, "archive": "a", "number": 1, "generation": 1, "state": "complete",
            "begun": 0, "written": 0, "program": "kscen", "cluster": { "id": "c", "brokers": 1 },
            "request": { "topics": ["orders"], "compression": "zstd:1", "batches": "auto" },
            "cut_width": 0, "groups": [], "groups_complete": true, "topics": [topic],
        });
        serde_json::from_value(manifest).expect("a manifest")
    }

    #[test]
    fn what_the_source_does_not_have_is_not_withheld_and_what_may_not_be_seen_is() {
        let acl = |pattern: &str, resource: &str| {
            json!([{
                "pattern": pattern, "resource": resource, "principal": "User:a", "host": "*", "operation": "READ",
                "permission": "ALLOW",
            }])
        };
        for (acls, has) in [
            (json!(null), false),
            (json!([]), false),
            (acl("LITERAL", "*"), false),
            (acl("PREFIXED", "orders"), false),
            (acl("LITERAL", "orders"), true),
        ] {
            assert_eq!(has_acls(&manifest(&json!({}), &acls, false)), has, "{acls}");
        }
        let of =
            |config: Value, unseen, wants, takes| Withheld::of(&manifest(&config, &json!(null), unseen), wants, takes);
        assert_eq!(of(json!({}), false, true, None), Withheld::default(), "the source has no authorizer");
        assert!(of(json!({}), false, true, Some(false)).authorizer);
        assert_eq!(of(json!({}), false, true, Some(true)), Withheld::default());
        assert_eq!(of(json!({}), true, true, None).acls, ["orders"]);
        assert_eq!(of(json!({}), true, false, None), Withheld::default(), "nobody asked for them");
        assert_eq!(of(json!(null), false, true, None).settings, ["orders"]);
    }
}
