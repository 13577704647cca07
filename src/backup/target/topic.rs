//! The topic of the target against that of the archive: partitions, configuration, ACLs.

use crate::backup::manifest::{Acl, KeptTopic, Setting};
use crate::backup::restore::{Basis, Renamed, RestoreError};
use crate::wire::acls::{self, TopicAcl};
use crate::wire::configs::{self, Config, SettingSource};
use crate::wire::{WireCluster, topics};
use std::collections::{BTreeMap, BTreeSet};

/// What was found. Each line names the topic.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TopicDifferences {
    /// What is not the same.
    pub(super) differences: Vec<String>,
    /// What could not be compared, and why.
    pub(super) unknown: Vec<String>,
    /// What cannot be the same, and is no fault of the restore.
    pub(super) notes: Vec<String>,
}

/// Settings that a restore leaves as they are where it is told to hold the retention.
const HELD: [&str; 2] = ["retention.ms", "retention.bytes"];

/// Compares a topic with what a restore was to make of it.
///
/// # Errors
/// The target does not answer. What it does not let the principal see is unknown.
pub(super) async fn compare(
    cluster: &WireCluster,
    source: &KeptTopic,
    renamed: &Renamed,
    basis: &Basis,
) -> Result<TopicDifferences, RestoreError> {
    let (mut compared, name) = (TopicDifferences::default(), renamed.to.as_str());
    let during = |what: &str| RestoreError::wire(format!("{what} topic `{name}`"));
    let mut found = topics::describe(cluster, &[name]).await.map_err(during("describing"))?;
    let found = match found.remove(name) {
        Some(found) => found.map_err(|refusal| during("describing")(refusal.into()))?,
        None => return Err(RestoreError::refused(format!("no broker describes topic `{name}`"), "try again")),
    };
    let (here, there) = (source.partitions.len(), found.partitions.len());
    if here != there {
        compared.differences.push(format!("topic `{name}`: the archive has {here} partitions, the target {there}"));
    }
    if basis.configured {
        match (&source.config, configs::of_topic(cluster, name).await) {
            (None, _) => {
                compared.notes.push(format!("topic `{name}`: the archive has no configuration: it was not seen"))
            }
            (Some(_), Err(error)) if error.is_denied() => {
                compared.unknown.push(format!("topic `{name}`: its configuration: {}", error.in_full()));
            }
            (Some(expected), found) => {
                let found = found.map_err(during("asking the settings of"))?;
                settings(name, expected, &found, basis.held, &mut compared);
            }
        }
    }
    if basis.acls {
        match (&source.acls, acls::of_topic(cluster, name).await) {
            (None, _) => compared.notes.push(format!("topic `{name}`: the archive has no ACLs: they were not seen")),
            (Some(_), Err(error)) if error.is_denied() => {
                compared.unknown.push(format!("topic `{name}`: its ACLs: {}", error.in_full()));
            }
            (Some(expected), found) => {
                let found = found.map_err(during("asking the ACLs of"))?;
                rights((&source.name, name), expected, found.as_deref(), &mut compared);
            }
        }
    }
    Ok(compared)
}

/// Compares what is set on the topic itself; defaults are the cluster's.
fn settings(
    topic: &str,
    expected: &BTreeMap<String, Setting>,
    found: &BTreeMap<String, Config>,
    held: bool,
    compared: &mut TopicDifferences,
) {
    let expected = expected.iter().filter(|(_, setting)| setting.source == "topic");
    let expected: BTreeMap<&str, Option<&str>> =
        expected.map(|(name, setting)| (name.as_str(), setting.value.as_deref())).collect();
    let own = found.iter().filter(|(_, config)| config.source == SettingSource::Topic);
    let own: BTreeMap<&str, Option<&str>> =
        own.map(|(name, config)| (name.as_str(), config.value.as_deref())).collect();
    let names: BTreeSet<&str> = expected.keys().chain(own.keys()).copied().collect();
    for name in names.into_iter().filter(|name| !(held && HELD.contains(name))) {
        let (one, two) = (expected.get(name), own.get(name));
        let shown = |value: Option<&Option<&str>>| match value {
            Some(Some(value)) => format!("`{value}`"),
            Some(None) => "a hidden value".to_owned(),
            None => "none of its own".to_owned(),
        };
        let line =
            format!("topic `{topic}`: setting {name}: the archive has {}, the target {}", shown(one), shown(two));
        if [one, two].contains(&Some(&None)) {
            compared.unknown.push(line);
        } else if one != two && !found.contains_key(name) {
            compared.notes.push(format!(
                "topic `{topic}`: the target has no setting {name}, which is {} in the archive",
                shown(one)
            ));
        } else if one != two {
            compared.differences.push(line);
        }
    }
}

/// Compares the ACLs that name the topic; those by prefix or for all topics are not its own. `found` is `None` where the target has
/// no authorizer.
fn rights((from, to): (&str, &str), expected: &[Acl], found: Option<&[TopicAcl]>, compared: &mut TopicDifferences) {
    let words = |principal: &str, host: &str, operation: &str, permission: &str| {
        format!("{permission} {operation} for {principal} from {host}")
    };
    let expected = expected.iter().filter(|acl| acl.pattern == "LITERAL" && acl.resource == from);
    let expected: BTreeSet<String> =
        expected.map(|acl| words(&acl.principal, &acl.host, &acl.operation, &acl.permission)).collect();
    let Some(found) = found else {
        if !expected.is_empty() {
            compared.unknown.push(format!("topic `{to}`: its ACLs: the target has no authorizer"));
        }
        return;
    };
    let found = found.iter().filter(|acl| acl.pattern == "LITERAL" && acl.resource == to);
    let found: BTreeSet<String> =
        found.map(|acl| words(&acl.principal, &acl.host, &acl.operation, &acl.permission)).collect();
    for missing in expected.difference(&found) {
        compared.differences.push(format!("topic `{to}`: ACL {missing}: the archive has it, the target does not"));
    }
    for more in found.difference(&expected) {
        compared.differences.push(format!("topic `{to}`: ACL {more}: the target has it, the archive does not"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings_of(change: impl Fn(&mut BTreeMap<String, Config>), held: bool) -> TopicDifferences {
        let setting =
            |value: Option<&str>, source: &str| Setting { value: value.map(str::to_owned), source: source.to_owned() };
        let expected = BTreeMap::from([
            ("retention.ms".to_owned(), setting(Some("5"), "topic")),
            ("cleanup.policy".to_owned(), setting(Some("compact"), "topic")),
            ("segment.bytes".to_owned(), setting(Some("7"), "broker")),
        ]);
        let config = |value: &str, source| Config { value: Some(value.to_owned()), source, sensitive: false };
        let mut found = BTreeMap::from([
            ("retention.ms".to_owned(), config("5", SettingSource::Topic)),
            ("cleanup.policy".to_owned(), config("compact", SettingSource::Topic)),
            ("segment.bytes".to_owned(), config("1073741824", SettingSource::Default)),
            ("compression.type".to_owned(), config("producer", SettingSource::Default)),
        ]);
        change(&mut found);
        let mut compared = TopicDifferences::default();
        settings("t", &expected, &found, held, &mut compared);
        compared
    }

    #[test]
    fn whatever_is_set_otherwise_is_named() {
        let differences = |change: &dyn Fn(&mut BTreeMap<String, Config>)| settings_of(change, false).differences;
        assert_eq!(settings_of(|_| {}, false), TopicDifferences::default());
        let line = |name: &str, one: &str, two: &str| {
            vec![format!("topic `t`: setting {name}: the archive has {one}, the target {two}")]
        };
        let other =
            |found: &mut BTreeMap<String, Config>| found.get_mut("retention.ms").unwrap().value = Some("6".to_owned());
        assert_eq!(differences(&other), line("retention.ms", "`5`", "`6`"));
        assert_eq!(settings_of(other, true), TopicDifferences::default(), "held");
        let default = |found: &mut BTreeMap<String, Config>| {
            found.get_mut("cleanup.policy").unwrap().source = SettingSource::Default
        };
        assert_eq!(differences(&default), line("cleanup.policy", "`compact`", "none of its own"));
        let more = |found: &mut BTreeMap<String, Config>| {
            found.get_mut("compression.type").unwrap().source = SettingSource::Topic
        };
        assert_eq!(differences(&more), line("compression.type", "none of its own", "`producer`"));
        let hidden = settings_of(|found| found.get_mut("retention.ms").unwrap().value = None, false);
        assert_eq!((hidden.differences.len(), hidden.unknown.len()), (0, 1), "{hidden:?}");
        let gone = settings_of(|found| _ = found.remove("cleanup.policy"), false);
        assert_eq!((gone.differences.len(), gone.notes.len()), (0, 1), "{gone:?}");
    }

    #[test]
    fn rights_that_are_missing_or_too_many_are_named() {
        let archived = |principal: &str, resource: &str| Acl {
            pattern: "LITERAL".to_owned(),
            resource: resource.to_owned(),
            principal: principal.to_owned(),
            host: "*".to_owned(),
            operation: "READ".to_owned(),
            permission: "ALLOW".to_owned(),
        };
        let given = |principal: &str, resource: &str, permission: &str| TopicAcl {
            pattern: "LITERAL".to_owned(),
            resource: resource.to_owned(),
            principal: principal.to_owned(),
            host: "*".to_owned(),
            operation: "READ".to_owned(),
            permission: permission.to_owned(),
        };
        let expected = [archived("User:a", "orders"), archived("User:b", "orders"), archived("User:all", "*")];
        let found = |found: Option<&[TopicAcl]>| {
            let mut compared = TopicDifferences::default();
            rights(("orders", "again"), &expected, found, &mut compared);
            compared
        };
        let [a, b] = ["User:a", "User:b"].map(|principal| given(principal, "again", "ALLOW"));
        let all = given("User:x", "*", "ALLOW");
        assert_eq!(found(Some(&[a.clone(), b.clone(), all.clone()])), TopicDifferences::default());
        let lost = found(Some(&[a.clone(), all])).differences;
        assert_eq!(lost, ["topic `again`: ACL ALLOW READ for User:b from *: the archive has it, the target does not"]);
        let more = found(Some(&[a.clone(), b, given("User:c", "again", "DENY")])).differences;
        assert_eq!(more, ["topic `again`: ACL DENY READ for User:c from *: the target has it, the archive does not"]);
        assert_eq!(found(Some(&[a, given("User:b", "again", "DENY")])).differences.len(), 2);
        assert_eq!(found(None).unknown, ["topic `again`: its ACLs: the target has no authorizer"]);
    }
}
