//! The restore of one topic, from what an earlier attempt has left to its end.

use super::folder::{self, RestoreState, RestoreTerms, StateFolder};
use super::groups::{self, CommittedBefore};
use super::prepare::{self, WantedTopic};
use super::{
    PlannedTopic, Renamed, Restore, RestoreError, RestoreEvent, RestorePoint, RestoreRequest, Restored, blocking,
    largest, newest, plan, wanted_partitions,
};
use crate::backup::manifest::Manifest;
use crate::backup::translation::Translation;
use crate::wire::topics::DescribedTopic;
use std::collections::BTreeMap;

/// A topic before anything of it changes.
struct TopicLook {
    /// What an earlier attempt has left that can be continued.
    state: Option<RestoreState>,
    /// The topic in the target.
    found: Option<DescribedTopic>,
    /// The manifest that this attempt began with, where that is not the newest.
    pinned: Option<Manifest>,
}

impl Restore<'_> {
    fn terms(&self, manifest: &Manifest, renamed: &Renamed) -> RestoreTerms {
        RestoreTerms::new(self.shared.archive.id(), manifest.number, &self.view.id, renamed, self.request)
    }

    /// Looks at a topic.
    ///
    /// # Errors
    /// It cannot be restored as it is asked for.
    async fn look(&self, manifest: &Manifest, renamed: &Renamed) -> Result<TopicLook, RestoreError> {
        let (cluster, request) = (&self.shared.cluster, self.request);
        plan::topic(manifest, renamed)?;
        let mut state = folder::attempt(&request.state, &renamed.to, &self.terms(manifest, renamed))?;
        let found = prepare::find(cluster, &renamed.to).await?;
        if let Some(before) = &state {
            // It was made, and the crash came before that was written down.
            if let (None, Some(found)) = (&before.topic, &found)
                && prepare::ends(cluster, found).await?.values().any(|end| *end > 0)
            {
                prepare::may_write(found, request)?;
            }
            state = state.filter(|before| prepare::goes_on(before, found.as_ref()));
        }
        // What is added to the archive after the first attempt does not change what is restored, unless the restore follows it.
        let follows = request.until == RestorePoint::Stable && state.as_ref().is_some_and(|state| !state.complete);
        let pinned = match state.as_ref().map(|state| state.asked.manifest) {
            Some(number) if number != manifest.number && !follows => {
                let archive = self.shared.archive.clone();
                Some(blocking(move || plan::pinned(&archive, number)).await?)
            }
            _ => None,
        };
        Ok(TopicLook { state, found, pinned })
    }

    /// Looks at all topics, and at the groups that get offsets for them, before anything is written.
    ///
    /// # Errors
    /// See [`Restore::look`] and [`groups::check`].
    pub(super) async fn check_groups(&self, manifest: &Manifest) -> Result<(), RestoreError> {
        let mut looks = Vec::new();
        for topic in &self.request.topics {
            let look = self.look(manifest, topic).await?;
            self.nothing_waits(&look, manifest, topic).await?;
            looks.push((look, topic));
        }
        let ruled: Vec<(&Manifest, &Renamed)> =
            looks.iter().map(|(look, topic)| (look.pinned.as_ref().unwrap_or(manifest), *topic)).collect();
        groups::check(&self.shared.cluster, &ruled, &self.request.groups, &self.shared.listener).await
    }

    /// Looks whether groups that get offsets have read a topic that the restore does not make.
    ///
    /// # Errors
    /// See [`groups::nothing_waits`].
    async fn nothing_waits(
        &self,
        look: &TopicLook,
        manifest: &Manifest,
        renamed: &Renamed,
    ) -> Result<(), RestoreError> {
        let (cluster, request) = (&self.shared.cluster, self.request);
        let ruled = look.pinned.as_ref().unwrap_or(manifest);
        let mut groups = groups::of_topic(ruled, renamed, &request.groups);
        let ends = match (&look.state, &look.found) {
            (Some(state), _) if state.settings.is_none() => {
                groups.retain(|name, _| !state.groups.iter().any(|given| given == name));
                state.starts.clone()
            }
            (None, Some(found)) if request.append && !groups.is_empty() => prepare::ends(cluster, found).await?,
            _ => return Ok(()),
        };
        groups::nothing_waits(cluster, renamed, &groups, &ends).await
    }

    /// Restores a topic. `None` after a dry run.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub(super) async fn topic(&self, newer: &Manifest, renamed: &Renamed) -> Result<Option<Restored>, RestoreError> {
        let request = self.request;
        let folder = StateFolder::open(&request.state, &renamed.to)?;
        let TopicLook { state, found, pinned } = self.look(newer, renamed).await?;
        // Records, settings, rights and groups are of one moment.
        let manifest = pinned.as_ref().unwrap_or(newer);
        let source = plan::topic(manifest, renamed)?;
        let planned = match &state {
            Some(_) => PlannedTopic { largest: largest(source), ..PlannedTopic::default() },
            None => self.plan(source, renamed).await?,
        };
        let wanted = WantedTopic { name: &renamed.to, source, largest: planned.largest, newest: newest(source) };
        let resumed = state.is_some();
        let mut state = match state {
            Some(state) => {
                let state_path = folder.path().display().to_string();
                self.shared.listener.tell(RestoreEvent::Resumed { topic: renamed.to.clone(), state: state_path });
                if request.dry_run {
                    return Ok(None);
                }
                state
            }
            None => {
                let asked = self.terms(newer, renamed);
                let Some(begun) = self.begin(&wanted, asked, found.as_ref(), &planned).await? else { return Ok(None) };
                // What an attempt before has left goes only when the next one can begin.
                folder.clear()?;
                folder.write(&begun)?;
                begun
            }
        };
        let tables = if state.complete {
            let tables = folder::tables(folder.path(), wanted_partitions(source, renamed))?;
            if self.add(&wanted, (manifest, renamed), &mut state, &tables).await? {
                folder.write(&state)?;
            }
            tables
        } else {
            self.ready(&wanted, (&mut state, resumed), &folder).await?;
            if request.until == RestorePoint::Stable && state.asked.manifest != manifest.number {
                state.asked.manifest = manifest.number;
                folder.write(&state)?;
            }
            let tables = self.partitions(source, renamed, &state, &folder).await?;
            if !request.more {
                self.finish(&wanted, (manifest, renamed), &mut state, &tables).await?;
                folder.write(&state)?;
            }
            tables
        };
        Ok(Some(Restored { from: renamed.from.clone(), topic: renamed.to.clone(), tables }))
    }

    /// Gives a topic, whose records are all there, what it has in the end: configuration, rights, and the places of groups.
    async fn finish(
        &self,
        wanted: &WantedTopic<'_>,
        (manifest, renamed): (&Manifest, &Renamed),
        state: &mut RestoreState,
        tables: &BTreeMap<i32, Translation>,
    ) -> Result<(), RestoreError> {
        let request = self.request;
        if let Some(settings) = &state.settings {
            wanted.configure_finally(&self.shared.cluster, settings, request.hold_retention).await?;
            state.held = request.hold_retention;
        }
        self.give(wanted, lacking(state, request, manifest, renamed), state, tables).await?;
        state.complete = true;
        Ok(())
    }

    /// Gives a topic that was complete before what is asked for now and was not then. Returns whether there was anything.
    async fn add(
        &self,
        wanted: &WantedTopic<'_>,
        (manifest, renamed): (&Manifest, &Renamed),
        state: &mut RestoreState,
        tables: &BTreeMap<i32, Translation>,
    ) -> Result<bool, RestoreError> {
        let lacking = lacking(state, self.request, manifest, renamed);
        if lacking.retention {
            let reason = format!(
                "the restore into topic `{}` is complete, and its retention was not held: old records may be deleted already",
                wanted.name
            );
            let remedy = "delete the topic, and restore it again with its retention held";
            return Err(RestoreError::refused(reason, remedy));
        }
        let any = lacking.acls || !lacking.groups.is_empty();
        self.give(wanted, lacking, state, tables).await?;
        Ok(any)
    }

    async fn give(
        &self,
        wanted: &WantedTopic<'_>,
        Lacking { groups, acls, .. }: Lacking<'_>,
        state: &mut RestoreState,
        tables: &BTreeMap<i32, Translation>,
    ) -> Result<(), RestoreError> {
        let (cluster, listener) = (&self.shared.cluster, &self.shared.listener);
        if acls {
            prepare::acls(cluster, wanted, listener).await?;
            state.acls = true;
        }
        groups::commit(cluster, wanted.name, &groups, tables, listener).await?;
        state.groups.extend(groups.into_keys().map(str::to_owned));
        Ok(())
    }
}

/// What a request asks for, beside records, that was not done yet.
pub(super) struct Lacking<'a> {
    pub(super) groups: CommittedBefore<'a>,
    pub(super) acls: bool,
    pub(super) retention: bool,
}

/// What of a request was not done when the restore was as it is.
pub(super) fn lacking<'a>(
    state: &RestoreState,
    request: &RestoreRequest,
    manifest: &'a Manifest,
    renamed: &Renamed,
) -> Lacking<'a> {
    let mut groups = groups::of_topic(manifest, renamed, &request.groups);
    groups.retain(|name, _| !state.groups.iter().any(|given| given == name));
    let (acls, made) = (request.acls && !state.acls, state.settings.is_some());
    Lacking { groups, acls, retention: made && request.hold_retention && !state.held }
}
