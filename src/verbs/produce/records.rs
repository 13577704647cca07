//! `payload: { records: … }` of `produce`.

use crate::ground::input::InputError;
use crate::ground::json_path::JsonPath;
use crate::kafka::unfit_topic_name;
use crate::load::payload::{MOST_LINES, RecordFields, RecordFormat, RecordOrigin, RecordSpec};
use crate::text::{Origin, Problem};
use crate::verb::{CheckContext, StepError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Records with their keys, headers and time stamps, over and over, as they are: from a file of JSON documents or of comma-separated
/// values, or from a topic.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PayloadRecords {
    /// A file; the path is relative to the scenario. Each line of `.json`, `.jsonl` and `.ndjson` is a document, each row of `.csv` an
    /// object of texts by the names in its first line.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// What the file is, where its name does not tell.
    #[serde(default)]
    pub format: Option<RecordFormat>,
    /// Where a document has the value, such as `$.payload`; the whole document, byte for byte, by default. Null makes a tombstone.
    #[serde(default)]
    pub value: Option<FieldPath>,
    /// Where a document has the key; null is none.
    #[serde(default)]
    pub key: Option<FieldPath>,
    /// Where a document has the value of a header, by the header's name.
    #[serde(default)]
    pub headers: BTreeMap<String, FieldPath>,
    /// Where a document has the number of its partition.
    #[serde(default)]
    pub partition: Option<FieldPath>,
    /// Where a document has its time stamp: ms since 1970, or a text such as `2024-05-01T12:00:00Z`; null is the time of sending.
    #[serde(default)]
    pub timestamp: Option<FieldPath>,
    /// A topic of the same cluster instead of a file: all that it holds when the load is prepared, with keys and headers.
    #[serde(default)]
    pub topic: Option<String>,
    /// Records of a topic keep their time stamps.
    #[serde(default)]
    pub keep_timestamps: bool,
    /// Records of a topic go to the partitions of the same numbers.
    #[serde(default)]
    pub keep_partitions: bool,
}

/// Where a value stands in a JSON document.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldPath(pub JsonPath);

impl<'de> Deserialize<'de> for FieldPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        JsonPath::parse(&String::deserialize(deserializer)?).map(Self).map_err(de::Error::custom)
    }
}

impl JsonSchema for FieldPath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FieldPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["$.order.id"] })
    }
}

impl PayloadRecords {
    /// Whether the records have keys.
    pub fn has_keys(&self) -> bool {
        self.key.is_some() || self.topic.is_some()
    }

    /// Says what contradicts itself.
    pub fn check(&self, cx: &mut CheckContext<'_>) {
        const AT: &str = "/payload/records";
        let mut report = |field: &str, code, text: String| cx.report(&format!("{AT}{field}"), Problem::new(code, text));
        match (&self.file, &self.topic) {
            (None, None) => report("", "bad-payload", "records come from a `file` or from a `topic`".to_owned()),
            (Some(_), Some(_)) => {
                report("/topic", "contradiction", "records come from a file or from a topic".to_owned())
            }
            (Some(file), None) => {
                if self.format.or(RecordFormat::of(file)).is_none() {
                    let text = format!(
                        "the name of `{}` does not tell what it is: add `format: json` or `format: csv`",
                        file.display()
                    );
                    report("/file", "bad-payload", text);
                }
                for (field, given) in
                    [("keep_timestamps", self.keep_timestamps), ("keep_partitions", self.keep_partitions)]
                {
                    if given {
                        report(&format!("/{field}"), "does-not-apply", format!("`{field}` is for records of a topic"));
                    }
                }
            }
            (None, Some(topic)) => {
                if let Some(why) = unfit_topic_name(topic) {
                    report("/topic", "bad-topic-name", format!("`{topic}` cannot be a topic: {why}"));
                }
                let fields = [
                    ("format", self.format.is_some()),
                    ("value", self.value.is_some()),
                    ("key", self.key.is_some()),
                    ("headers", !self.headers.is_empty()),
                    ("partition", self.partition.is_some()),
                    ("timestamp", self.timestamp.is_some()),
                ];
                for (field, _) in fields.into_iter().filter(|(_, given)| *given) {
                    let text = format!("a record of a topic is sent as it is; `{field}` is for records of a file");
                    report(&format!("/{field}"), "does-not-apply", text);
                }
            }
        }
        if let Some(file) = &self.file
            && let Err(error) = cx.origin.document.fence.open(&cx.origin.path(file), MOST_LINES)
        {
            match &error {
                // A step before this one may make it.
                InputError::Io(missing) if missing.kind() == std::io::ErrorKind::NotFound => {}
                _ => cx.report(&format!("{AT}/file"), Problem::new("bad-payload", cx.origin.unreadable(file, &error))),
            }
        }
    }

    /// As the load wants it.
    ///
    /// # Errors
    /// A file outside of the project, or one of which it is not known what it is.
    pub fn spec(&self, origin: &Origin) -> Result<RecordSpec, StepError> {
        let refuse = |text: String| StepError::broken("bad-payload", text).at("/payload/records");
        if let Some(name) = &self.topic {
            let (timestamps, partitions) = (self.keep_timestamps, self.keep_partitions);
            return Ok(RecordSpec { origin: RecordOrigin::Topic { name: name.clone(), timestamps, partitions } });
        }
        let file =
            self.file.as_ref().ok_or_else(|| refuse("records come from a `file` or from a `topic`".to_owned()))?;
        let path = origin.path(file);
        let inside = origin.document.fence.admits(&path);
        inside.map_err(|error| StepError::broken("payload-file", origin.unreadable(file, &error)))?;
        let format = self.format.or(RecordFormat::of(file));
        let format =
            format.ok_or_else(|| refuse(format!("`{}`: add `format: json` or `format: csv`", file.display())))?;
        let path_of = |field: &Option<FieldPath>| field.clone().map(|field| field.0);
        let fields = RecordFields {
            value: path_of(&self.value),
            key: path_of(&self.key),
            headers: self.headers.iter().map(|(name, path)| (name.clone(), path.0.clone())).collect(),
            partition: path_of(&self.partition),
            timestamp: path_of(&self.timestamp),
        };
        Ok(RecordSpec { origin: RecordOrigin::File { path, format, fields } })
    }
}
