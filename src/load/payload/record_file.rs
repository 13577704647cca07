//! Records in files: JSON documents, one a line, and CSV.

use super::LoadError;
use super::lines::MOST_LINES;
use super::records::{RecordFields, SourceRecord};
use crate::ground::json_path::JsonPath;
use crate::ground::{input, json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::ffi::CString;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Values of one document: each takes up to a hundred bytes of memory.
const MOST_VALUES: usize = 1 << 20;

/// What a file of records is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordFormat {
    /// A JSON document on each line.
    Json,
    /// Comma-separated values, the names of the columns in the first line. A row is a JSON object of texts.
    Csv,
}

impl RecordFormat {
    /// By the end of a file's name.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" | "jsonl" | "ndjson" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// Reads all records of a file, one after the other: `take` says what is wrong with one.
pub(super) fn read_file(
    path: &Path,
    format: RecordFormat,
    fields: &RecordFields,
    take: &mut dyn FnMut(SourceRecord) -> Result<(), String>,
) -> Result<(), LoadError> {
    let file = input::open(path, MOST_LINES).map_err(|error| LoadError::File(path.to_owned(), error.into()))?;
    let file = BufReader::new(file.take(MOST_LINES));
    let read = match format {
        RecordFormat::Json => of_json(file, fields, take),
        RecordFormat::Csv => of_csv(file, fields, take),
    };
    read.map_err(|(line, why)| LoadError::Spec(format!("`{}`, line {line}: {why}", path.display())))
}

/// What is wrong with a file, and in which line.
type Fault = (u64, String);
/// Takes a record, or says what is wrong with it.
type Take<'a> = &'a mut dyn FnMut(SourceRecord) -> Result<(), String>;

fn of_json(mut content: impl BufRead, fields: &RecordFields, take: Take<'_>) -> Result<(), Fault> {
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        number += 1;
        if content.read_until(b'\n', &mut line).map_err(|error| (number, error.to_string()))? == 0 {
            return Ok(());
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.trim_ascii().is_empty() {
            continue;
        }
        let document = json::read(text, MOST_VALUES).map_err(|error| (number, error.to_string()))?;
        record(&document, text, fields).and_then(&mut *take).map_err(|why| (number, why))?;
    }
}

fn of_csv(content: impl Read, fields: &RecordFields, take: Take<'_>) -> Result<(), Fault> {
    let mut reader = csv::Reader::from_reader(content);
    let at = |error: &csv::Error| error.position().map_or(1, csv::Position::line);
    let names = reader.headers().map_err(|error| (at(&error), error.to_string()))?.clone();
    if names.len() > MOST_VALUES {
        return Err((1, format!("it has more than {MOST_VALUES} columns")));
    }
    for row in reader.records() {
        let row = row.map_err(|error| (at(&error), error.to_string()))?;
        let line = row.position().map_or(0, csv::Position::line);
        let cells = names.iter().zip(&row).map(|(name, cell)| (name.to_owned(), Value::from(cell)));
        let document = Value::Object(cells.collect::<Map<_, _>>());
        let text = document.to_string();
        record(&document, text.as_bytes(), fields).and_then(&mut *take).map_err(|why| (line, why))?;
    }
    Ok(())
}

/// A record of a document, whose text is `text`.
fn record(document: &Value, text: &[u8], fields: &RecordFields) -> Result<SourceRecord, String> {
    let find = |path: &JsonPath| path.find(document).ok_or_else(|| format!("there is no `{path}`"));
    let bytes = |path: &Option<JsonPath>| path.as_ref().map(find).transpose();
    let mut headers = Vec::new();
    for (name, path) in &fields.headers {
        let name = CString::new(name.as_str()).map_err(|_| "the name of a header holds a zero byte".to_owned())?;
        headers.push((name, plain(find(path)?)));
    }
    Ok(SourceRecord {
        value: match bytes(&fields.value)? {
            Some(value) => plain(value),
            None => Some(text.to_vec()),
        },
        key: bytes(&fields.key)?.and_then(plain),
        headers,
        partition: bytes(&fields.partition)?.map(partition).transpose()?,
        timestamp_ms: bytes(&fields.timestamp)?.map(timestamp).transpose()?.flatten(),
    })
}

/// A text as it is, `null` as nothing, and anything else as JSON writes it.
fn plain(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        other => Some(other.to_string().into_bytes()),
    }
}

fn partition(value: &Value) -> Result<i32, String> {
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let partition = number.and_then(|number| i32::try_from(number).ok()).filter(|partition| *partition >= 0);
    partition.ok_or_else(|| format!("{value} is no number of a partition"))
}

fn timestamp(value: &Value) -> Result<Option<i64>, String> {
    let of_text = |text: &str| match text.parse::<i64>() {
        Ok(ms) => Some(ms),
        Err(_) => text.parse::<jiff::Timestamp>().ok().map(|time| time.as_millisecond()),
    };
    let ms = match value {
        Value::Null => return Ok(None),
        Value::String(text) => of_text(text),
        other => other.as_i64(),
    };
    // The client takes 0 for now.
    let ms = ms.filter(|ms| *ms > 0);
    ms.map(Some)
        .ok_or_else(|| format!("{value} is no time stamp: it is ms since 1970, or written like 2024-05-01T12:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_json(content: &[u8], fields: &RecordFields) -> Result<Vec<SourceRecord>, Fault> {
        let mut records = Vec::new();
        super::of_json(content, fields, &mut |record| {
            records.push(record);
            Ok(())
        })
        .map(|()| records)
    }

    fn of_csv(content: &[u8], fields: &RecordFields) -> Result<Vec<SourceRecord>, Fault> {
        let mut records = Vec::new();
        super::of_csv(content, fields, &mut |record| {
            records.push(record);
            Ok(())
        })
        .map(|()| records)
    }

    fn path(text: &str) -> Option<JsonPath> {
        Some(JsonPath::parse(text).expect("a path"))
    }

    fn fields() -> RecordFields {
        let headers = [("region".to_owned(), path("$.meta.region").expect("a path"))].into();
        RecordFields {
            value: path("$.body"),
            key: path("$.id"),
            headers,
            partition: path("$.shard"),
            timestamp: path("$.at"),
        }
    }

    #[test]
    fn each_part_comes_from_its_field() {
        let text = br#"{"id":7,"body":{"a":1},"meta":{"region":"eu"},"shard":2,"at":"1970-01-01T00:00:01Z"}
{"id":null,"body":null,"meta":{"region":null},"shard":"0","at":null}

{"id":"k","body":"","meta":{"region":""},"shard":1,"at":5}"#;
        let records = of_json(text, &fields()).expect("records");
        let region = |value: Option<&str>| vec![(c"region".to_owned(), value.map(|text| text.as_bytes().to_vec()))];
        let expected = [
            SourceRecord {
                value: Some(br#"{"a":1}"#.to_vec()),
                key: Some(b"7".to_vec()),
                headers: region(Some("eu")),
                partition: Some(2),
                timestamp_ms: Some(1000),
            },
            SourceRecord { headers: region(None), partition: Some(0), ..SourceRecord::default() },
            SourceRecord {
                value: Some(Vec::new()),
                key: Some(b"k".to_vec()),
                headers: region(Some("")),
                partition: Some(1),
                timestamp_ms: Some(5),
            },
        ];
        assert_eq!(records, expected);
    }

    #[test]
    fn a_document_without_a_field_for_its_value_is_sent_byte_for_byte() {
        let fields = RecordFields { key: path("$.id"), ..RecordFields::default() };
        let records = of_json(b"{ \"id\" : \"a\" }\r\n", &fields).expect("records");
        assert_eq!(records[0].value.as_deref(), Some(b"{ \"id\" : \"a\" }".as_slice()));
    }

    #[test]
    fn rows_are_objects_of_texts_whatever_is_in_their_quotes() {
        let fields = RecordFields { key: path("$.id"), ..RecordFields::default() };
        let records = of_csv(b"id,text\n1,\"a, \"\"b\"\"\nc\"\n2,\n", &fields).expect("records");
        assert_eq!(records[0].value.as_deref(), Some(br#"{"id":"1","text":"a, \"b\"\nc"}"#.as_slice()));
        assert_eq!((records[1].key.as_deref(), records.len()), (Some(b"2".as_slice()), 2));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let fault = |text: &[u8]| of_json(text, &fields()).expect_err("a fault");
        assert_eq!(fault(b"{\"id\":1}\n").1, "there is no `$.meta.region`");
        assert_eq!(fault(b"\n{\"id\":\n").0, 2);
        let whole = |shard: &str, at: &str| {
            fault(format!(r#"{{"id":1,"body":1,"meta":{{"region":1}},"shard":{shard},"at":{at}}}"#).as_bytes()).1
        };
        assert!(whole("-1", "1").contains("partition") && whole("1", "\"today\"").contains("time stamp"));
        assert!(whole("1", "0").contains("time stamp"));
        assert_eq!(of_csv(b"a,b\n1\n", &RecordFields::default()).expect_err("a short row").0, 2);
    }
}
