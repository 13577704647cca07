//! The numbers of a stored file, held against what kscen can have written: whoever renders a result may trust them.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use std::fmt;

/// A year: no run is longer.
const YEAR: f64 = 366.0 * 24.0 * 3600.0;
/// No count, size or sum is larger.
const LARGEST: f64 = 1e16;
/// Seconds of a run. A few may lie before its start.
const SECONDS: [&str; 9] =
    ["at", "duration", "started", "prepared", "ended", "requested", "effective", "undone", "ready"];
/// Times in µs that are sums over producers or threads, since the epoch, or may be negative.
const LARGE_US: [&str; 7] =
    ["clock_ahead_us", "sum_us", "time_us", "committed_us", "cpu_us", "queue_full_us", "transaction_wait_us"];
/// Whatever somebody else has said, as it was said: it is shown, and nothing is computed from it.
const FREE: [&str; 3] = ["details", "json", "matrix"];
/// Histograms, whose own reader bounds them.
const OWN: [&str; 1] = ["slices"];
/// Time lines, and the most that one slice can count: the sum of a million slices is still a number.
const LINES: [&str; 2] = ["timeline", "seconds"];
const MOST_IN_SLICE: f64 = 1e12;
/// Lists of which each element is held against others, or shown.
const LENGTHS: [(&str, usize); 13] = [
    ("faults", 10_000),
    ("steps", 50_000),
    ("services", 1_000),
    ("lives", 50_000),
    ("deliveries", 10_000),
    ("slots", 5_000),
    ("logs", 10_000),
    ("lines", 400_000),
    ("marks", 100_000),
    ("checks", 100_000),
    ("incidents", 50_000),
    ("unwatched", 5_000),
    ("strain", 50_000),
];
/// Objects whose names are no fields: what a service or a client says of itself; the others have a name for each partition at most.
const FIELDS: [(&str, usize); 3] = [("facts", 2_000), ("broker_config", 1_000), ("effective_config", 5_000)];
const MOST_FIELDS: usize = 100_000;
/// Bytes of one text, of one that somebody else has said, and of all texts together: reports show some of them three times.
const TEXT: usize = 1 << 20;
const FREE_TEXT: usize = 8 << 20;
const ALL_TEXTS: usize = 32 << 20;
/// Values of what somebody else has said, all together: each takes up to two hundred bytes of memory.
const FREE_VALUES: usize = 1 << 18;

/// A value that no kscen has written.
#[derive(Clone, Debug, PartialEq)]
pub enum OutOfBounds {
    /// A number.
    Number {
        /// Its place, such as `services.0.samples.3.usage.cpu_seconds`.
        field: String,
        /// What stands there.
        value: Number,
        /// The least that can be.
        low: f64,
        /// The most that can be.
        high: f64,
    },
    /// Too much of something.
    TooMany {
        /// Its place; what it is about in words, where it is about all of them.
        field: String,
        /// The most that there can be.
        most: usize,
        /// What there are too many of.
        what: &'static str,
    },
}

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { field, value, low, high } => {
                write!(f, "{field} is {value}, which is not within {low} to {high}")
            }
            Self::TooMany { field, most, what } => write!(f, "{field} has more than {most} {what}"),
        }
    }
}

impl std::error::Error for OutOfBounds {}

/// Looks at every value of a stored text of JSON. Nothing is kept of it.
///
/// # Errors
/// The first that is out of bounds; JSON that is none is no matter of this, and is told by who reads it.
pub fn check(text: &[u8]) -> Result<(), OutOfBounds> {
    let mut look = Look::default();
    let mut reader = serde_json::Deserializer::from_slice(text);
    let _ = Part { look: &mut look, key: "", line: false, free: false }.deserialize(&mut reader);
    look.found.map_or(Ok(()), Err)
}

/// What was seen until now.
#[derive(Default)]
struct Look {
    path: Vec<Segment>,
    texts: usize,
    free: usize,
    found: Option<OutOfBounds>,
}

enum Segment {
    Name(String),
    Index(usize),
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Index(index) => index.fmt(f),
        }
    }
}

impl Look {
    fn field(&self) -> String {
        self.path.iter().map(Segment::to_string).collect::<Vec<_>>().join(".")
    }

    fn refuse<E: Error>(&mut self, found: OutOfBounds) -> E {
        self.found = Some(found);
        E::custom("it is out of bounds")
    }

    fn too_many<E: Error>(&mut self, most: usize, what: &'static str) -> E {
        let found = OutOfBounds::TooMany { field: self.field(), most, what };
        self.refuse(found)
    }
}

/// One value, on its way in.
struct Part<'l, 'k> {
    look: &'l mut Look,
    /// The name that it stands behind, or its list.
    key: &'k str,
    /// Whether it belongs to a time line.
    line: bool,
    /// Whether somebody else has said it.
    free: bool,
}

impl Part<'_, '_> {
    fn number<E: Error>(self, number: Option<Number>) -> Result<(), E> {
        let (Some(number), false) = (number, self.free) else { return self.plain() };
        let (low, mut high) = range(self.key);
        if self.line {
            high = high.min(MOST_IN_SLICE);
        }
        // Whole numbers beyond what an f64 holds exactly are far beyond the bounds as well.
        match number.as_f64() {
            Some(own) if (low..=high).contains(&own) => Ok(()),
            _ => {
                let found = OutOfBounds::Number { field: self.look.field(), value: number, low, high };
                Err(self.look.refuse(found))
            }
        }
    }

    /// A value of which only the number counts.
    fn plain<E: Error>(self) -> Result<(), E> {
        self.look.free += usize::from(self.free);
        if self.look.free > FREE_VALUES {
            let field = "what others have said".to_owned();
            return Err(self.look.refuse(OutOfBounds::TooMany { field, most: FREE_VALUES, what: "values" }));
        }
        Ok(())
    }

    fn most(&self, of: &[(&str, usize)], else_most: usize) -> usize {
        let own = of.iter().find(|(name, _)| *name == self.key && !self.free);
        own.map_or(else_most, |(_, most)| *most)
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.plain()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.plain()
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.number(Some(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.number(Some(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.number(Number::from_f64(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let most = if self.free { FREE_TEXT } else { TEXT };
        if text.len() > most {
            return Err(self.look.too_many(most, "bytes"));
        }
        self.look.texts += text.len();
        if self.look.texts > ALL_TEXTS {
            let field = "the sum of all texts".to_owned();
            return Err(self.look.refuse(OutOfBounds::TooMany { field, most: ALL_TEXTS, what: "bytes" }));
        }
        self.plain()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let most = self.most(&LENGTHS, usize::MAX);
        let Self { look, key, line, free } = self;
        let mut count = 0;
        loop {
            look.path.push(Segment::Index(count));
            let item = items.next_element_seed(Part { look: &mut *look, key, line, free })?;
            look.path.pop();
            if item.is_none() {
                return Part { look, key, line, free }.plain();
            }
            count += 1;
            if count > most {
                return Err(look.too_many(most, "elements"));
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let most = self.most(&FIELDS, MOST_FIELDS);
        let Self { look, key: own, line, free } = self;
        let mut count = 0;
        while let Some(key) = fields.next_key::<String>()? {
            count += 1;
            if count > most {
                return Err(look.too_many(most, "fields"));
            }
            if !free && OWN.contains(&key.as_str()) {
                fields.next_value::<IgnoredAny>()?;
                continue;
            }
            let (line, free) = (line || LINES.contains(&key.as_str()), free || FREE.contains(&key.as_str()));
            look.path.push(Segment::Name(key.clone()));
            fields.next_value_seed(Part { look: &mut *look, key: &key, line, free })?;
            look.path.pop();
        }
        Part { look, key: own, line, free }.plain()
    }
}

fn range(key: &str) -> (f64, f64) {
    match key {
        // Any number is a seed.
        "seed" => (0.0, u64::MAX as f64),
        "cpu_seconds" => (0.0, 1e11),
        "cpus" | "cpu_cores" => (0.0, 1e6),
        key if SECONDS.contains(&key) => (-1e6, YEAR),
        key if key.ends_with("_us") && !LARGE_US.contains(&key) => (0.0, YEAR * 1e6),
        _ => (-LARGEST, LARGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(value: &Value) -> Result<(), OutOfBounds> {
        super::check(value.to_string().as_bytes())
    }

    /// Fields in µs that are signed, by the schema of results: those count from the epoch, the others from the start of the run.
    fn since_the_epoch(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(object) => {
                let properties = object.get("properties").and_then(Value::as_object).into_iter().flatten();
                let signed = properties.filter(|(name, field)| name.ends_with("_us") && field["format"] == "int64");
                found.extend(signed.map(|(name, _)| name.clone()));
                object.values().for_each(|value| since_the_epoch(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| since_the_epoch(item, found)),
            _ => {}
        }
    }

    #[test]
    fn times_since_the_epoch_are_within_bounds() {
        let schema = serde_json::from_str(include_str!("../../schemas/result.json")).expect("the published schema");
        let mut fields = Vec::new();
        since_the_epoch(&schema, &mut fields);
        assert!(fields.len() > 1, "{fields:?}");
        for field in fields {
            let sample = json!({ "samples": [{ field: 1_795_943_572_639_837_i64 }] });
            assert_eq!(check(&sample), Ok(()));
        }
    }

    #[test]
    fn more_than_is_shown_is_refused_by_its_field() {
        let why = |value: Value| check(&value).expect_err("it is refused").to_string();
        let object = |count: usize| -> Value { (0..count).map(|number| (format!("k{number}"), json!("v"))).collect() };
        let many = |count: usize| Value::from(vec![0; count]);
        assert_eq!(
            why(json!({ "environment": { "facts": object(2_001) } })),
            "environment.facts has more than 2000 fields"
        );
        assert_eq!(check(&json!({ "facts": object(2_000), "details": object(90_000) })), Ok(()));
        assert_eq!(why(json!({ "broker_config": object(1_001) })), "broker_config has more than 1000 fields");
        assert_eq!(why(json!({ "deliveries": many(10_001) })), "deliveries has more than 10000 elements");
        assert_eq!(why(json!({ "logs": [{ "lines": many(400_001) }] })), "logs.0.lines has more than 400000 elements");
        let text = |bytes: usize| Value::from("x".repeat(bytes));
        assert_eq!(why(json!({ "run": { "name": text(TEXT + 1) } })), "run.name has more than 1048576 bytes");
        assert_eq!(check(&json!({ "details": { "body": text(TEXT + 1) } })), Ok(()));
        let all = json!({ "marks": vec![text(TEXT); 33] });
        assert_eq!(why(all), "the sum of all texts has more than 33554432 bytes");
        let said = json!([{ "details": many(200_000) }, { "json": many(200_000) }]);
        assert_eq!(why(said), "what others have said has more than 262144 values");
    }
}
