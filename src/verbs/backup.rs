//! The verb `backup`.

use super::archives::{check_name, listener, store};
use crate::backup::batch::Compressor;
use crate::backup::manifest::{BackupState, Batching, Manifest};
use crate::backup::{BackupError, BackupOptions, KeptGroups, OnGap, Recipient, backup};
use crate::environment::{Grant, Needs};
use crate::scenario::units::{Bytes, Count};
use crate::text::Problem;
use crate::verb::{CheckContext, Facts, Step, StepContext, StepError, StepOutcome};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Backs topics up into an archive of the run: every record byte for byte, with the topics' configuration, ACLs and the offsets of groups. Where
/// the archive is there already, the backup goes on where the last one ended. The step fails where something of what it was to take is missing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Names of topics, and patterns with `*` for any characters.
    topics: Vec<String>,
    /// The name of the archive. It lies in the run's folder, below `archives`.
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
    groups: Option<GroupChoice>,
    /// At most so many offsets of each topic.
    #[serde(default)]
    max_messages: Option<Count>,
    /// At most so many bytes are read in a second.
    #[serde(default)]
    rate: Option<Bytes>,
    /// How many partitions are read at the same time. 4 where absent.
    #[serde(default)]
    parallel: Option<Count>,
    /// What happens where the log has lost records that were to be read: `record` (the gap is recorded with its reason) or `stop` (the partition
    /// ends there, and the step fails). `record` where absent.
    #[serde(default)]
    on_gap: Gap,
}

/// Groups.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum GroupChoice {
    /// All, or none.
    Word(Word),
    /// These.
    Named(Vec<String>),
}

impl GroupChoice {
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
            groups: GroupChoice::kept(self.groups.as_ref()),
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
    const EXAMPLE: &'static str = "backup: { topics: [\"orders-${run.id}\"], to: archive, compression: zstd }";
    const MAY: &'static [Grant] = &[Grant::Backup];
    const BACKGROUND: bool = true;

    fn needs(&self) -> Needs {
        Needs::kafka()
    }

    fn facts(&self) -> Facts {
        Facts {
            topic: self.topics.first().filter(|topic| !topic.contains('*')).cloned(),
            ends: true,
            ..Facts::default()
        }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        check_name("/to", &self.to, cx);
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
    }

    fn describe(&self) -> String {
        format!("back up {} to {}", self.topics.join(", "), self.to)
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let options = self.options().map_err(|reason| StepError::broken("bad-value", reason).at("/compression"))?;
        let options = BackupOptions { redactor: (*cx.run.recorder.redactor()).clone(), ..options };
        let (cluster, store) = (cx.run.wire()?, store(&cx.run, &self.to));
        cx.prepared();
        let listener = listener(cx);
        let done = cx.unless_stopped(backup(&cluster, store, options, listener)).await?;
        let manifest = done.map_err(|error| {
            let place = if matches!(error, BackupError::Archive(_)) { "/to" } else { "/topics" };
            StepError::broken("backup", error.to_string()).at(place)
        })?;
        let outcome = StepOutcome::default().details(told(&manifest));
        if manifest.state == BackupState::Complete {
            return Ok(outcome);
        }
        let missing = manifest.missing.join("; ");
        Err(StepError::broken("partial-backup", format!("not everything is in the archive: {missing}")).after(outcome))
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
