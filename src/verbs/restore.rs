//! The verb `restore`.

use super::archives::{ALLOWED, ArchiveTally, check_identity, check_place, open, state};
use super::own_usage::watched;
use super::topic::check_topic_name;
use crate::backup::Archive;
use crate::backup::restore::{
    self, Keep, Offsets, Renamed, RestoreEvent, RestoreListener, RestorePoint, RestoreRequest, RestoredGroups,
};
use crate::environment::{Grant, Needs};
use crate::faults::Resource;
use crate::scenario::units::{Bytes, Count};
use crate::text::Problem;
use crate::verb::{CheckContext, Facts, Scope, Step, StepContext, StepError, StepOutcome, Work};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Restores a topic from an archive of the run: every record once, whatever happens on the way. Where an earlier step with the same
/// request was interrupted, it goes on. The topic is made for it, and deleted again at the end of the run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// The name of the archive, or `s3://BUCKET/PREFIX`.
    from: String,
    /// The file with the age identity that opens an encrypted archive, relative to the scenario.
    #[serde(default)]
    identity: Option<PathBuf>,
    /// The topic in the archive.
    topic: String,
    /// The topic in the target; the same name where absent.
    #[serde(default, rename = "as")]
    to: Option<String>,
    /// Only these partitions; the others stay empty.
    #[serde(default)]
    partitions: Option<Vec<Count>>,
    /// Which offsets records get: `translated` (one after the other from 0) or `exact` (those that they had; gaps are filled with empty
    /// transactions). `translated` where absent.
    #[serde(default)]
    offsets: Option<Offsets>,
    /// Which records: `committed` (what a reader of committed data sees) or `everything` (those of aborted and open transactions,
    /// too). `committed` where absent.
    #[serde(default)]
    isolation: Option<Keep>,
    /// Each partition ends before this offset of the source.
    #[serde(default)]
    until_offset: Option<Count>,
    /// What the archive had when its n-th backup was complete.
    #[serde(default)]
    generation: Option<Count>,
    /// Whose offsets are set, so that they go on at the next record: names of groups of the archive. None where absent.
    #[serde(default)]
    groups: Vec<String>,
    /// Writes into a topic that exists, too.
    #[serde(default)]
    append: bool,
    /// Gives back the ACLs that name the topic. It takes the grant `acls`.
    #[serde(default)]
    acls: bool,
    /// At most so many bytes are written in a second.
    #[serde(default)]
    rate: Option<Bytes>,
}

impl Restore {
    fn target(&self) -> &str {
        self.to.as_deref().unwrap_or(&self.topic)
    }

    fn request(&self, state: PathBuf) -> RestoreRequest {
        let number = |count: &Count| i32::try_from(count.0).unwrap_or(i32::MAX);
        let partitions = self.partitions.as_ref().map(|all| all.iter().map(number).collect());
        let renamed = Renamed { from: self.topic.clone(), to: self.target().to_owned(), partitions };
        let usual = RestoreRequest::new(vec![renamed], state);
        RestoreRequest {
            until: match (self.until_offset, self.generation) {
                (Some(offset), _) => RestorePoint::Offset(i64::try_from(offset.0).unwrap_or(i64::MAX)),
                (None, Some(number)) => RestorePoint::Generation(u32::try_from(number.0).unwrap_or(u32::MAX)),
                (None, None) => RestorePoint::End,
            },
            offsets: self.offsets.unwrap_or(usual.offsets),
            isolation: self.isolation.unwrap_or(usual.isolation),
            groups: if self.groups.is_empty() {
                RestoredGroups::None
            } else {
                RestoredGroups::Named(self.groups.clone())
            },
            append: self.append,
            acls: self.acls,
            rate: self.rate.map(|bytes| bytes.0),
            ..usual
        }
    }
}

impl Step for Restore {
    const VERB: &'static str = "restore";
    const WORK: Work = Work::Archives;
    const MAY: &'static [Grant] = &[Grant::Restore, Grant::Groups, Grant::Acls];
    const EXAMPLE: &'static str =
        "restore: { from: archive, topic: \"orders-${run.id}\", as: \"restored-${run.id}\", offsets: exact }";
    const BACKGROUND: bool = true;

    fn needs(&self) -> Needs {
        Needs::kafka()
    }

    fn changes(&self, _: &Scope) -> Vec<Grant> {
        Grant::of_restore(!self.groups.is_empty(), self.acls)
    }

    fn facts(&self) -> Facts {
        let mut lacks = BTreeMap::from([("saved", "it compresses nothing")]);
        if self.until_offset.is_some() {
            lacks.extend(["data", "data_rate"].map(|name| (name, "with `until_offset` it reads a part of the files")));
        }
        let topic = self.target().to_owned();
        // What is appended to is somebody else's, as far as anybody knows.
        let makes = if self.append { Vec::new() } else { vec![topic.clone()] };
        Facts { topic: Some(topic), makes, ends: true, allowance: Some(ALLOWED), lacks, ..Facts::default() }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        check_place("/from", &self.from, cx);
        check_identity("/identity", self.identity.as_deref(), cx);
        let target = if self.to.is_some() { "/as" } else { "/topic" };
        check_topic_name(target, self.target(), cx);
        // What is known of the restore lies in a folder of this name.
        cx.refuse_secret(target, self.target());
        if self.until_offset.is_some() && self.generation.is_some() {
            let problem = Problem::new("restore-until", "`until_offset` and `generation` name two different moments");
            cx.report("", problem.help("give only one of them"));
        }
        if self.rate.is_some_and(|rate| rate.0 == 0) {
            cx.report(
                "/rate",
                Problem::new("bad-value", "the rate is above zero: at 0 bytes per second it would never end"),
            );
        }
    }

    fn describe(&self) -> String {
        format!("restore {} from {} as {}", self.topic, self.from, self.target())
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let archive = open(cx, &self.from, self.identity.as_deref())?;
        let archive =
            archive.map_err(|error| StepError::broken("restore", error.to_string()).because(error).at("/from"))?;
        let cluster = cx.run.wire()?;
        let request = self.request(state(&cx.run, &self.from));
        let (tally, resumed) = (Arc::new(ArchiveTally::default()), Arc::new(AtomicBool::new(false)));
        let listener = listener(cx, tally.clone(), resumed.clone());
        cx.prepared();
        let work = watched(restore::restore(&archive, &cluster, &request, &listener));
        let (done, usage) = cx.unless_stopped(work).await?;
        // Of one that went on, only the rest was written now.
        if done.is_ok() && !resumed.load(Ordering::Relaxed) {
            tally.data.store(self.data(&archive, request.until).unwrap_or(0), Ordering::Relaxed);
        }
        let outcome = tally.figures(&usage, true);
        let restored = match done {
            Ok(restored) => restored,
            Err(error) => {
                let broken = StepError::broken("restore", error.in_full()).at("/topic").after(outcome);
                let remedy = error.remedy().map(str::to_owned);
                let broken = broken.because(error);
                return Err(match remedy {
                    Some(remedy) => broken.help(remedy),
                    None => broken,
                });
            }
        };
        let records: i64 = restored.iter().flat_map(|topic| topic.tables.values()).map(|table| table.records()).sum();
        Ok(outcome.details(json!({ "topic": self.target(), "records": records })))
    }
}

impl Restore {
    /// The bytes of the batches that it reads, uncompressed; `None` where it reads only a part of the files.
    fn data(&self, archive: &Archive, until: RestorePoint) -> Option<u64> {
        if self.until_offset.is_some() {
            return None;
        }
        let manifest = restore::manifest(archive, until).ok()?;
        let wanted = |number: i32| {
            self.partitions.as_ref().is_none_or(|all| all.iter().any(|one| u64::try_from(number).ok() == Some(one.0)))
        };
        let partitions = manifest.topic(&self.topic)?.partitions.iter().filter(|kept| wanted(kept.partition));
        Some(partitions.flat_map(|kept| &kept.segments).map(|segment| segment.uncompressed).sum())
    }
}

/// Counts what is written, and notes what happens in the run's record.
fn listener(cx: &StepContext, tally: Arc<ArchiveTally>, resumed: Arc<AtomicBool>) -> RestoreListener {
    let (run, id) = (cx.run.clone(), cx.id.clone());
    RestoreListener::new(move |event| match event {
        RestoreEvent::Created { topic, .. } => run.owned.made(Resource::Topic(topic)),
        RestoreEvent::Warning { reason } => run.recorder.note(format!("{id}: {reason}")),
        RestoreEvent::Resumed { topic, .. } => {
            resumed.store(true, Ordering::Relaxed);
            run.recorder.note(format!("{id}: topic {topic} is continued"));
        }
        RestoreEvent::Stored { records, .. } => _ = tally.records.fetch_add(records, Ordering::Relaxed),
        _ => {}
    })
}
