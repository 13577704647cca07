//! The verb `backup`.

use super::archives::{ALLOWED, ArchiveTally, check_place, listener, store};
use super::own_usage::watched;
use crate::backup::batch::Compressor;
use crate::backup::manifest::{BackupState, Batching, Manifest};
use crate::backup::{
    BackupError, BackupListener, BackupOptions, BackupStopper, KeptGroups, OnGap, Recipient, Store, backup, follow,
};
use crate::environment::{Grant, Needs};
use crate::scenario::units::{Bytes, Count, Length};
use crate::text::Problem;
use crate::verb::{CheckContext, FOREVER, Facts, Step, StepContext, StepError, StepOutcome, StopSignal, Work};
use crate::wire::WireCluster;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Backs topics up into an archive of the run: every record byte for byte, with the topics' configuration, ACLs and the offsets of groups. Where
/// the archive is there already, the backup goes on where the last one ended. The step fails where something of what it was to take is missing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Names of topics, and patterns with `*` for any characters.
    topics: Vec<String>,
    /// The name of the archive, which lies in the run's folder, below `archives`; or `s3://BUCKET/PREFIX`, with credentials and endpoint in the AWS
    /// variables of kscen's environment. An archive in a bucket stays when the run is over.
    to: String,
    /// The codec of batches that are small or not compressed: `none`, `gzip`, `snappy`, `lz4` or `zstd`; with a level, `gzip:1` to `gzip:9`
    /// and `zstd:1` to `zstd:19`. `zstd` where absent.
    #[serde(default)]
    compression: Option<String>,
    /// Which batches are kept as the broker has them: `auto` (compressed ones of 64 KiB and more; others are merged and compressed), `verbatim`
    /// (all) or `recompress` (none).
    #[serde(default)]
    batches: Batching,
    /// To whom records are encrypted: public keys of age, `age1…`. Names of topics, their configuration, groups and sizes stay readable. Nobody
    /// where absent.
    #[serde(default)]
    encrypt_to: Vec<String>,
    /// Whose committed offsets are kept: `all`, `none`, or a list of groups. `all` where absent.
    #[serde(default)]
    groups: Option<GroupsNamed>,
    /// At most so many offsets of each topic, from the first that is not in the archive.
    #[serde(default)]
    max_messages: Option<Count>,
    /// At most so many bytes are read in a second.
    #[serde(default)]
    rate: Option<Bytes>,
    /// How many partitions are read at the same time; as many as there are processors, from 2 to 4, where absent.
    #[serde(default)]
    parallel: Option<Count>,
    /// What happens where the log has lost records that were to be read: `record` (the gap is recorded with its reason) or `stop` (the partition
    /// ends there, and the step fails). `record` where absent.
    #[serde(default)]
    on_gap: Gap,
    /// Goes on until the end of `steps`: whenever this time has passed, what is new is read and becomes a generation. `1s` at least, and only in
    /// the background. Once where absent.
    #[serde(default)]
    every: Option<Length>,
}

/// Groups.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum GroupsNamed {
    /// All, or none.
    Word(Word),
    /// These.
    Named(Vec<String>),
}

impl GroupsNamed {
    /// Whose offsets are kept: all where nothing is said.
    pub(super) fn kept(choice: Option<&Self>) -> KeptGroups {
        match choice {
            None | Some(Self::Word(Word::All)) => KeptGroups::All,
            Some(Self::Word(Word::None)) => KeptGroups::None,
            Some(Self::Named(names)) => KeptGroups::Named(names.clone()),
        }
    }
}

/// All groups, or none.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Word {
    /// All.
    All,
    /// None.
    None,
}

/// What happens at a gap.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Gap {
    /// It is recorded.
    #[default]
    Record,
    /// The partition ends there.
    Stop,
}

impl Backup {
    fn recipients(&self) -> Result<Vec<Recipient>, (usize, String)> {
        let parsed = self.encrypt_to.iter().enumerate();
        parsed.map(|(index, text)| text.parse().map_err(|error| (index, format!("{error}")))).collect()
    }

    fn options(&self) -> Result<BackupOptions, String> {
        let usual = BackupOptions::new(self.topics.clone());
        let compressor: Option<Compressor> = self
            .compression
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error: crate::backup::batch::UnknownCodec| error.to_string())?;
        Ok(BackupOptions {
            compressor: compressor.unwrap_or_else(|| usual.compressor.clone()),
            batching: self.batches,
            groups: GroupsNamed::kept(self.groups.as_ref()),
            max_messages: self.max_messages.map(|count| count.0),
            rate: self.rate.map(|bytes| bytes.0),
            parallel: self.parallel.map_or(usual.parallel, |count| usize::try_from(count.0).unwrap_or(usize::MAX)),
            on_gap: match self.on_gap {
                Gap::Record => OnGap::Record,
                Gap::Stop => OnGap::Stop,
            },
            recipients: self.recipients().map_err(|(_, reason)| reason)?,
            ..usual
        })
    }
}

impl Step for Backup {
    const VERB: &'static str = "backup";
    const WORK: Work = Work::Archives;
    const EXAMPLE: &'static str = "backup: { topics: [\"orders-${run.id}\"], to: archive, compression: zstd }";
    const MAY: &'static [Grant] = &[Grant::Backup];
    const BACKGROUND: bool = true;

    fn needs(&self) -> Needs {
        Needs::kafka()
    }

    fn facts(&self) -> Facts {
        Facts {
            topic: self.topics.first().filter(|topic| !topic.contains('*')).cloned(),
            ends: self.every.is_none(),
            allowance: Some(if self.every.is_some() { FOREVER } else { ALLOWED }),
            lacks: self.every.iter().map(|_| ("data_rate", "it waits between its rounds")).collect::<BTreeMap<_, _>>(),
            ..Facts::default()
        }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        check_place("/to", &self.to, cx);
        for (index, topic) in self.topics.iter().enumerate() {
            cx.refuse_secret(&format!("/topics/{index}"), topic);
        }
        if self.topics.is_empty() {
            cx.report(
                "/topics",
                Problem::new("no-topics", "`backup` needs at least one topic").help("write `topics: [orders]`"),
            );
        }
        if let Err((index, reason)) = self.recipients() {
            cx.report(&format!("/encrypt_to/{index}"), Problem::new("bad-recipient", reason));
        } else if let Err(reason) = self.options() {
            cx.report("/compression", Problem::new("bad-value", reason));
        }
        if self.rate.is_some_and(|rate| rate.0 == 0) {
            cx.report(
                "/rate",
                Problem::new("bad-value", "the rate is above zero: at 0 bytes per second it would never end"),
            );
        }
        if self.parallel.is_some_and(|parallel| !(1..=64).contains(&parallel.0)) {
            cx.report("/parallel", Problem::new("out-of-range", "`parallel` is from 1 to 64"));
        }
        self.check_rounds(cx);
    }

    fn describe(&self) -> String {
        let every = self.every.map(|every| format!(" every {every}")).unwrap_or_default();
        format!("back up {} to {}{every}", self.topics.join(", "), self.to)
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let options = self.options().map_err(|reason| StepError::broken("bad-value", reason).at("/compression"))?;
        let options = BackupOptions { redactor: (*cx.run.recorder.redactor()).clone(), ..options };
        let (cluster, store) = (cx.run.wire()?, store(&cx.run, &self.to).map_err(|error| error.at("/to"))?);
        cx.prepared();
        let tally = Arc::new(ArchiveTally::default());
        let (listener, stop) = (listener(cx, &tally), cx.stop.clone());
        let work = async {
            match self.every {
                None => backup(&cluster, store, options, listener).await.map(Some),
                Some(every) => rounds(&cluster, store, options, every.0, listener, stop).await,
            }
        };
        let (done, usage) = cx.unless_stopped(watched(work)).await?;
        let outcome = tally.figures(&usage, self.every.is_none());
        let manifest = match done {
            Ok(Some(manifest)) => manifest,
            Ok(None) => {
                let reason = "no round came to its end: the cluster did not answer, or another writer had the archive";
                return Err(StepError::broken("backup", reason).after(outcome));
            }
            Err(error) => {
                let place = if matches!(error, BackupError::Archive(_)) { "/to" } else { "/topics" };
                return Err(StepError::broken("backup", error.to_string()).because(error).at(place).after(outcome));
            }
        };
        let outcome = outcome.details(told(&manifest));
        // One that goes on leaves what it has not read yet to the next one.
        if manifest.state == BackupState::Complete || (self.every.is_some() && manifest.missing.is_empty()) {
            return Ok(outcome);
        }
        let missing = manifest.missing.join("; ");
        Err(StepError::broken("partial-backup", format!("not everything is in the archive: {missing}")).after(outcome))
    }
}

impl Backup {
    fn check_rounds(&self, cx: &mut CheckContext<'_>) {
        let Some(every) = self.every else { return };
        if every.0 < Duration::from_secs(1) {
            cx.report("/every", Problem::new("out-of-range", "`every` is at least `1s`"));
        }
        if self.max_messages.is_some() {
            let problem = Problem::new("contradiction", "`max_messages` ends a backup, and `every` lets it go on");
            cx.report("/max_messages", problem.help("give only one of them"));
        }
        if !cx.background {
            let problem = Problem::new("no-end", "a backup with `every` has no end, and it runs in the foreground");
            cx.report("/every", problem.help("add `background: true`"));
        }
    }
}

/// Backs up again and again until the step is asked to end. The last manifest, where a round came to one.
async fn rounds(
    cluster: &WireCluster,
    store: Arc<dyn Store>,
    options: BackupOptions,
    every: Duration,
    listener: BackupListener,
    mut stop: StopSignal,
) -> Result<Option<Manifest>, BackupError> {
    let (stopper, asked) = BackupStopper::new();
    let options = BackupOptions { stop: asked, ..options };
    let following = follow(cluster, store, options, every, listener, |_| {});
    tokio::pin!(following);
    tokio::select! {
        ended = &mut following => ended,
        _ = stop.asked() => {
            stopper.stop();
            following.await
        }
    }
}

fn told(manifest: &Manifest) -> serde_json::Value {
    json!({
        "archive": manifest.archive,
        "manifest": manifest.number,
        "generation": manifest.generation,
        "state": manifest.state,
        "missing": manifest.missing,
        "records": manifest.records(),
        "bytes": manifest.bytes(),
        "groups": manifest.groups.len(),
        "cut_width_ms": manifest.cut_width,
    })
}
