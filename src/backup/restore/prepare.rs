//! The topic in the target: whether it may be written into, and how it is configured meanwhile and afterwards.

use super::event::{RestoreEvent, RestoreListener};
use super::folder::RestoreState;
use super::request::{Offsets, RestoreRequest};
use super::restore_error::RestoreError;
use crate::backup::manifest;
use crate::wire::acls::{self, TopicAcl};
use crate::wire::creation::{self, NewTopic};
use crate::wire::offsets::{self, At, IsolationLevel};
use crate::wire::{WireCluster, WireError, configs, topics};
use std::collections::BTreeMap;

/// Kafka's codes: a setting that it does not know or take; a topic that exists.
const INVALID_CONFIG: i16 = 40;
const LARGEST: &str = "max.message.bytes";
const RETENTION: &str = "retention.ms";
const FOREVER: &str = "9223372036854775807";
/// What a topic is configured to while it is restored, where the broker knows the setting: nothing is deleted, compressed again,
/// compacted, refused for its time, or given another time.
const MEANWHILE: &[(&str, &str)] = &[
    (RETENTION, "-1"),
    ("retention.bytes", "-1"),
    ("compression.type", "producer"),
    ("cleanup.policy", "delete"),
    ("message.timestamp.type", "CreateTime"),
    ("message.timestamp.before.max.ms", FOREVER),
    ("message.timestamp.after.max.ms", FOREVER),
    ("message.timestamp.difference.max.ms", FOREVER),
];

/// A topic of the target as it is to be.
pub(super) struct WantedTopic<'a> {
    pub(super) name: &'a str,
    pub(super) source: &'a manifest::KeptTopic,
    /// The bytes of the largest batch.
    pub(super) largest: u64,
    /// The largest time stamp of the partitions, in ms since the epoch.
    pub(super) newest: i64,
}

fn asking(during: &str, topic: &str) -> impl FnOnce(WireError) -> RestoreError {
    RestoreError::wire(format!("{during} topic `{topic}`"))
}

/// The id of a topic that exists.
///
/// # Errors
/// It may not be seen, or no broker answers.
pub(super) async fn find(cluster: &WireCluster, name: &str) -> Result<Option<topics::DescribedTopic>, RestoreError> {
    let mut found = topics::describe(cluster, &[name]).await.map_err(asking("describing", name))?;
    match found.remove(name) {
        Some(Ok(topic)) => Ok(Some(topic)),
        Some(Err(refusal)) if refusal.is_absent() => Ok(None),
        Some(Err(refusal)) => Err(asking("describing", name)(refusal.into())),
        None => Ok(None),
    }
}

impl WantedTopic<'_> {
    /// The configuration that the topic had, as far as it was its own.
    pub(super) fn settings(&self) -> BTreeMap<String, String> {
        let own = self.source.config.iter().flatten().filter(|(_, setting)| setting.source == "topic");
        own.filter_map(|(name, setting)| Some((name.clone(), setting.value.clone()?))).collect()
    }

    fn new_topic(&self, replication: Option<i16>, configs: BTreeMap<String, String>) -> NewTopic {
        let partitions = i32::try_from(self.source.partitions.len()).unwrap_or(i32::MAX);
        NewTopic { name: self.name.to_owned(), partitions, replication, configs }
    }

    /// What the target would say to the topic, which must not exist: the settings that it takes. Those that it does not know are
    /// left out with a warning.
    ///
    /// # Errors
    /// It would refuse the topic, whatever the settings.
    pub(super) async fn acceptable(
        &self,
        cluster: &WireCluster,
        replication: Option<i16>,
        listener: &RestoreListener,
    ) -> Result<BTreeMap<String, String>, RestoreError> {
        let all = self.settings();
        let check = async |configs: BTreeMap<String, String>| {
            creation::create(cluster, &self.new_topic(replication, configs), true).await
        };
        let refused = |error: &WireError| error.refusal().is_some_and(|refusal| refusal.code() == INVALID_CONFIG);
        match check(all.clone()).await {
            Ok(()) => return Ok(all),
            Err(error) if !refused(&error) => return Err(asking("checking", self.name)(error)),
            Err(_) => {}
        }
        let mut taken = BTreeMap::new();
        for (name, value) in all {
            match check(BTreeMap::from([(name.clone(), value.clone())])).await {
                Ok(()) => _ = taken.insert(name, value),
                Err(error) if refused(&error) => listener.warn(format!(
                    "topic `{}`: `{name}={value}` is not taken over: {}",
                    self.name,
                    error.in_full()
                )),
                Err(error) => return Err(asking("checking", self.name)(error)),
            }
        }
        check(taken.clone()).await.map_err(asking("checking", self.name))?;
        Ok(taken)
    }

    /// Makes the topic with the configuration that it has in the end, learns from the target what that means, and configures it
    /// for the time of the restore.
    ///
    /// # Errors
    /// The target refuses.
    pub(super) async fn make(
        &self,
        cluster: &WireCluster,
        replication: Option<i16>,
        settings: &BTreeMap<String, String>,
        listener: &RestoreListener,
    ) -> Result<(), RestoreError> {
        let topic = self.new_topic(replication, settings.clone());
        creation::create(cluster, &topic, false).await.map_err(asking("creating", self.name))?;
        listener.tell(RestoreEvent::Created { topic: self.name.to_owned(), partitions: self.source.partitions.len() });
        Ok(())
    }

    /// Configures the topic for the time of the restore. Says where the configuration of the end deletes what was restored.
    ///
    /// # Errors
    /// The target refuses.
    pub(super) async fn configure_meanwhile(
        &self,
        cluster: &WireCluster,
        now: i64,
        request: &RestoreRequest,
        listener: &RestoreListener,
    ) -> Result<(), RestoreError> {
        let effective =
            configs::of_topic(cluster, self.name).await.map_err(asking("asking the settings of", self.name))?;
        let number = |name: &str| effective.get(name)?.value.as_deref()?.parse::<i64>().ok();
        let deletes = effective.get("cleanup.policy").and_then(|policy| policy.value.as_deref());
        let retention = number(RETENTION).filter(|retention| *retention >= 0);
        if let (Some(retention), true, false) =
            (retention, deletes.is_some_and(|policy| policy.contains("delete")), request.hold_retention)
            && self.newest > 0
            && self.newest < now.saturating_sub(retention)
        {
            listener.warn(format!(
                "topic `{}`: its records are older than its retention.ms={retention}: the target deletes them soon after the \
                 restore; hold the retention to keep them",
                self.name
            ));
        }
        let values = effective.iter().map(|(name, config)| (name.as_str(), config.value.as_deref())).collect();
        let settings = meanwhile(&values, self.largest);
        if settings.is_empty() {
            return Ok(());
        }
        creation::configure(cluster, self.name, &settings).await.map_err(asking("configuring", self.name))
    }

    /// Gives the topic the configuration that it has in the end.
    ///
    /// # Errors
    /// The target refuses.
    pub(super) async fn configure_finally(
        &self,
        cluster: &WireCluster,
        settings: &BTreeMap<String, String>,
        hold: bool,
    ) -> Result<(), RestoreError> {
        let during = || asking("configuring", self.name);
        let now = configs::of_topic(cluster, self.name).await.map_err(asking("asking the settings of", self.name))?;
        let meanwhile = MEANWHILE.iter().map(|(name, _)| *name).chain([LARGEST]);
        let held = |name: &str| hold && matches!(name, RETENTION | "retention.bytes");
        let changes: BTreeMap<String, Option<String>> = meanwhile
            .filter(|name| {
                !held(name) && now.get(*name).is_some_and(|found| found.source == configs::SettingSource::Topic)
            })
            .map(|name| (name.to_owned(), settings.get(name).cloned()))
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        creation::configure(cluster, self.name, &changes).await.map_err(during())
    }

    /// Holds a topic that exists against what is to be written into it.
    ///
    /// # Errors
    /// It does not take the batches as they are.
    pub(super) async fn fits(&self, cluster: &WireCluster, topic: &topics::DescribedTopic) -> Result<(), RestoreError> {
        let (there, here) = (topic.partitions.len(), self.source.partitions.len());
        if there != here {
            let reason =
                format!("topic `{}` has {there} partitions in the target and {here} in the archive", self.name);
            return Err(RestoreError::refused(reason, "restore it under another name with `as`"));
        }
        let effective =
            configs::of_topic(cluster, self.name).await.map_err(asking("asking the settings of", self.name))?;
        let value = |name: &str| effective.get(name).and_then(|config| config.value.as_deref());
        let most = value(LARGEST).and_then(|most| most.parse::<u64>().ok()).unwrap_or(0);
        if most < self.largest {
            let reason = format!(
                "topic `{}` takes batches of up to {most} bytes, and the largest of the archive has {}",
                self.name, self.largest
            );
            return Err(RestoreError::refused(reason, format!("set its {LARGEST} to {} or more", self.largest)));
        }
        for (name, wanted) in [("message.timestamp.type", "CreateTime"), ("compression.type", "producer")] {
            if value(name).is_some_and(|value| value != wanted) {
                let found = value(name).unwrap_or_default();
                let reason = format!("topic `{}` has {name}={found}, which changes what is written", self.name);
                return Err(RestoreError::refused(reason, format!("set its {name} to {wanted}")));
            }
        }
        Ok(())
    }

    /// Whether the brokers take requests as large as the largest batch.
    ///
    /// # Errors
    /// They do not.
    pub(super) async fn fits_brokers(
        &self,
        cluster: &WireCluster,
        broker: i32,
        listener: &RestoreListener,
    ) -> Result<(), RestoreError> {
        const REQUEST: &str = "socket.request.max.bytes";
        let found = match configs::of_broker(cluster, broker).await {
            Ok(found) => found,
            Err(error) => {
                listener.warn(format!("it is not known how large a request may be ({})", error.in_full()));
                return Ok(());
            }
        };
        let most = found.get(REQUEST).and_then(|config| config.value.as_deref()?.parse::<u64>().ok());
        match most {
            Some(most) if most < self.largest.saturating_add(1024) => {
                let reason = format!(
                    "topic `{}`: the largest batch has {} bytes, and the brokers have {REQUEST}={most}",
                    self.source.name, self.largest
                );
                Err(RestoreError::refused(reason, format!("raise {REQUEST} on every broker of the target")))
            }
            _ => Ok(()),
        }
    }
}

/// What has to be set for the time of a restore, where a topic has these settings, and batches have up to so many bytes.
pub(super) fn meanwhile(effective: &BTreeMap<&str, Option<&str>>, largest: u64) -> BTreeMap<String, Option<String>> {
    let known = MEANWHILE.iter().filter(|(name, _)| effective.contains_key(name));
    let mut settings: BTreeMap<String, Option<String>> =
        known.map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect();
    // Batches that are made again can be a little larger than those that they are made of.
    let needed = largest.saturating_add(largest / 8).saturating_add(1024).min(i32::MAX as u64);
    let most = effective.get(LARGEST).and_then(|most| most.as_ref()?.parse::<i64>().ok());
    if most.is_none_or(|most| most.unsigned_abs() < needed) {
        settings.insert(LARGEST.to_owned(), Some(needed.to_string()));
    }
    settings.retain(|name, value| effective.get(name.as_str()).copied().flatten() != value.as_deref());
    settings
}

/// Where the partitions of a topic end.
///
/// # Errors
/// A leader does not answer.
pub(super) async fn ends(
    cluster: &WireCluster,
    topic: &topics::DescribedTopic,
) -> Result<BTreeMap<i32, i64>, RestoreError> {
    let numbers: Vec<i32> = topic.partitions.iter().map(|partition| partition.index).collect();
    let found = offsets::list(cluster, &topic.name, &numbers, At::End, IsolationLevel::Uncommitted).await;
    let mut ends = BTreeMap::new();
    for (partition, answer) in found {
        let end = answer.map_err(asking("asking for the ends of", &topic.name))?;
        ends.insert(partition, end.map_or(0, |end| end.offset));
    }
    Ok(ends)
}

/// Refuses what may not be written into.
///
/// # Errors
/// The topic exists, and nobody said that it may be appended to; or it was to get exact offsets.
pub(super) fn may_write(topic: &topics::DescribedTopic, request: &RestoreRequest) -> Result<(), RestoreError> {
    if !request.append {
        let reason = format!("topic `{}` exists in the target", topic.name);
        return Err(RestoreError::refused(
            reason,
            "restore it under another name with `as`, or say that it may be appended to",
        ));
    }
    if request.offsets == Offsets::Exact {
        let reason =
            format!("topic `{}` exists in the target, and exact offsets need a topic of their own", topic.name);
        return Err(RestoreError::refused(
            reason,
            "restore it under another name with `as`, or with translated offsets",
        ));
    }
    Ok(())
}

/// Whether an earlier attempt can be continued with what is in the target: the topic that it was writing into; or, where it was killed before it knew
/// its topic, whatever is there, even nothing yet: the brokers may be about to make what it had asked for.
pub(super) fn goes_on(before: &RestoreState, found: Option<&topics::DescribedTopic>) -> bool {
    before.topic.is_none() || found.is_some_and(|topic| before.topic == topic.id.map(|id| id.to_string()))
}

/// Waits until the topic has been made known with all its partitions and their leaders. Returns its id.
///
/// # Errors
/// It does not appear.
pub(super) async fn appeared(
    cluster: &WireCluster,
    name: &str,
    partitions: usize,
) -> Result<Option<String>, RestoreError> {
    /// So long a new topic may take to be known to the broker that is asked.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
    /// Between two looks; nothing announces it.
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
    let begun = std::time::Instant::now();
    loop {
        if let Some(found) = find(cluster, name).await?
            && found.partitions.len() == partitions
            && found.partitions.iter().all(|partition| partition.leader.is_some())
        {
            return Ok(found.id.map(|id| id.to_string()));
        }
        if begun.elapsed() > PATIENCE {
            let reason = format!("topic `{name}` was created, and its partitions have no leaders");
            return Err(RestoreError::refused(reason, "look at the brokers of the target"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Gives the rights that name the topic literally; those by prefix or for all topics are not the topic's own.
///
/// # Errors
/// The target refuses.
pub(super) async fn acls(
    cluster: &WireCluster,
    wanted: &WantedTopic<'_>,
    listener: &RestoreListener,
) -> Result<(), RestoreError> {
    let Some(all) = &wanted.source.acls else {
        listener.warn(format!("topic `{}`: the archive has no ACLs: they could not be seen", wanted.source.name));
        return Ok(());
    };
    let own = all.iter().filter(|acl| acl.pattern == "LITERAL" && acl.resource == wanted.source.name);
    let own: Vec<TopicAcl> = own
        .map(|acl| TopicAcl {
            pattern: acl.pattern.clone(),
            resource: wanted.name.to_owned(),
            principal: acl.principal.clone(),
            host: acl.host.clone(),
            operation: acl.operation.clone(),
            permission: acl.permission.clone(),
        })
        .collect();
    if own.is_empty() {
        return Ok(());
    }
    acls::create(cluster, &own).await.map_err(asking("giving the rights on", wanted.name))
}
