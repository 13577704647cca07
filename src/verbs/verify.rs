//! The verb `verify`.

use super::archives::{ALLOWED, check_identity, check_place, open, state};
use crate::backup::restore::requests;
use crate::backup::{Archive, Level, target, verify};
use crate::environment::{Grant, Needs};
use crate::text::Problem;
use crate::verb::{CheckContext, Facts, Step, StepContext, StepError, StepOutcome};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;

/// Checks an archive of the run, or a topic that was restored from it. The step fails where anything is wrong, and names it: the damaged file
/// and the byte in it, or the first record that is not the same.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The name of the archive, or `s3://BUCKET/PREFIX`.
    archive: String,
    /// The file with the age identity that opens an encrypted archive, relative to the scenario. Without it only `quick` and `full` look at one, and
    /// `full` at lengths and SHA-256.
    #[serde(default)]
    identity: Option<PathBuf>,
    /// How closely: `quick` (the chain of manifests, and lengths), `full` (the SHA-256 of every file, and the checksum of every batch),
    /// `deep` (every record is decoded), or `target` (a restored topic is read again through librdkafka and compared with the archive record
    /// by record; its own configuration and the places of the groups that the restore set, too). `full` where absent.
    #[serde(default)]
    level: Depth,
    /// With `target`: the restored topic; all that this run restored from the archive where absent.
    #[serde(default)]
    topic: Option<String>,
}

/// How closely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Depth {
    /// Chain and lengths.
    Quick,
    /// Every byte.
    #[default]
    Full,
    /// Every record.
    Deep,
    /// A restored topic.
    Target,
}

impl Step for Verify {
    const VERB: &'static str = "verify";
    const MAY: &'static [Grant] = &[];
    const EXAMPLE: &'static str = "verify: { archive: archive, level: target, topic: \"restored-${run.id}\" }";

    fn needs(&self) -> Needs {
        if self.level == Depth::Target { Needs::kafka() } else { Needs::default() }
    }

    fn facts(&self) -> Facts {
        Facts { ends: true, judges: true, allowance: Some(ALLOWED), ..Facts::default() }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        check_place("/archive", &self.archive, cx);
        check_identity("/identity", self.identity.as_deref(), cx);
        if self.topic.is_some() && self.level != Depth::Target {
            let problem = Problem::new("verify-topic", "only the level `target` looks at a topic");
            cx.report("/topic", problem.help("write `level: target`"));
        }
    }

    fn describe(&self) -> String {
        match &self.topic {
            Some(topic) => format!("verify {topic} against {}", self.archive),
            None => format!("verify {}", self.archive),
        }
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let archive = open(cx, &self.archive, self.identity.as_deref())?;
        let archive =
            archive.map_err(|error| StepError::broken("verify", error.to_string()).because(error).at("/archive"))?;
        match self.level {
            Depth::Quick => self.archive_at(archive, Level::Quick, cx).await,
            Depth::Full => self.archive_at(archive, Level::Full, cx).await,
            Depth::Deep => self.archive_at(archive, Level::Deep, cx).await,
            Depth::Target => self.target(&archive, cx).await,
        }
    }
}

impl Verify {
    async fn archive_at(&self, archive: Archive, level: Level, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let work = tokio::task::spawn_blocking(move || verify(&archive, level, 2));
        let report = cx.unless_stopped(work).await?;
        let report = report
            .map_err(|error| StepError::broken("verify", error.to_string()).because(error).at("/archive"))?
            .map_err(|error| StepError::broken("verify", error.to_string()).because(error).at("/archive"))?;
        let outcome = StepOutcome::default()
            .judged(true)
            .details(json!({ "records": report.records, "problems": report.problems.len() }));
        if let Some(words) = report.unfinished() {
            cx.run.recorder.note(format!("{}: {words}", cx.id));
        }
        let Some(first) = report.problems.first() else { return Ok(outcome) };
        let at = first.at.map(|at| format!(" at byte {at}")).unwrap_or_default();
        let words = format!("{} is damaged{at}: {}", first.file, first.reason);
        Err(StepError::check("verify", words).at("/archive").after(outcome))
    }

    async fn target(&self, archive: &Archive, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let (cluster, properties) = (cx.run.wire()?, cx.run.connection());
        let broken =
            |error: crate::backup::restore::RestoreError| StepError::broken("verify", error.in_full()).because(error);
        let topics: Vec<String> = self.topic.iter().cloned().collect();
        let mut verified = Vec::new();
        for request in requests(&state(&cx.run, &self.archive), &topics).map_err(broken)? {
            let done = cx.unless_stopped(target::verify(archive, &cluster, &properties, &request)).await?;
            verified.extend(done.map_err(broken)?);
        }
        let records: u64 = verified.iter().map(target::Verified::records).sum();
        let outcome = StepOutcome::default().judged(true).details(json!({ "records": records, "topics": verified }));
        if let Some(words) = verified.iter().find_map(target::Verified::first_difference) {
            return Err(StepError::check("verify", words).at("/topic").after(outcome));
        }
        match verified.iter().flat_map(|topic| &topic.unknown).next() {
            None => Ok(outcome),
            Some(words) => Err(StepError::broken("verify", format!("it is unknown: {words}")).after(outcome)),
        }
    }
}
