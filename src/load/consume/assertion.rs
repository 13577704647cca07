//! What a reader asserts of each message.

use super::Tapped;
use crate::ground::lock;
use crate::scenario::expression::{guarded, strict, within_bounds};
use crate::text::short;
use minijinja::value::Serde;
use minijinja::{Environment, Error, Expression, Value};
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

/// The names that an assertion knows.
const NAMES: [&str; 8] = ["value", "key", "headers", "timestamp_ms", "partition", "offset", "tombstone", "size"];
/// Places kept of each assertion that was broken.
const SAMPLES: usize = 20;
/// Characters shown of a message that breaks an assertion.
const SHOWN: usize = 120;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| strict(Environment::new()));

/// An expression that has to be true of each message.
pub struct Assertion {
    text: String,
    expression: Expression<'static, 'static>,
    /// Whether the value is looked into, so that it has to be read as JSON.
    reads_value: bool,
}

impl Assertion {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it: its syntax, its length, or a name that no message has.
    pub fn parse(text: &str) -> Result<Self, String> {
        within_bounds(text).map_err(|excess| excess.message)?;
        let wrong =
            |error: Error| format!("`{text}` is not an expression: {}", error.detail().unwrap_or("syntax error"));
        let names = ENVIRONMENT.compile_expression(text).map_err(wrong)?.undeclared_variables(false);
        if let Some(name) = names.iter().filter(|name| !NAMES.contains(&name.as_str())).min() {
            return Err(format!("a message has no `{name}`; it has {}", NAMES.join(", ")));
        }
        let guarded = guarded(text).map_err(wrong)?;
        let expression = ENVIRONMENT.compile_expression_owned(guarded).map_err(wrong)?;
        Ok(Self { text: text.to_owned(), reads_value: names.contains("value"), expression })
    }

    /// Whether it holds, or why not.
    fn holds(&self, message: &Tapped<'_>) -> Result<(), String> {
        let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes).into_owned());
        let optional = |bytes: Option<&[u8]>| bytes.map_or(Value::from(()), text);
        let value = match message.payload {
            Some(payload) if self.reads_value => match serde_json::from_slice::<serde_json::Value>(payload) {
                Ok(json) => Value::from(Serde(json)),
                Err(_) => text(payload),
            },
            _ => Value::from(()),
        };
        let headers: BTreeMap<String, Value> = message
            .headers
            .iter()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), optional(*value)))
            .collect();
        let names = BTreeMap::from([
            ("value", value),
            ("key", optional(message.key)),
            ("headers", Value::from_pairs(headers)),
            ("timestamp_ms", message.timestamp_ms.map_or(Value::from(()), Value::from)),
            ("partition", Value::from(message.partition)),
            ("offset", Value::from(message.offset)),
            ("tombstone", Value::from(message.payload.is_none())),
            ("size", Value::from(message.payload.map_or(0, <[u8]>::len))),
        ]);
        match self.expression.eval(names) {
            Ok(value) if value.is_true() => Ok(()),
            // The language's own word begins with a capital letter, as in Python.
            Ok(value) if value == Value::from(false) => Err("it is false".to_owned()),
            Ok(value) => Err(format!("it is {value}")),
            Err(error) => Err(error.detail().map_or_else(|| error.to_string(), str::to_owned)),
        }
    }
}

/// What was broken, and where.
#[derive(Debug, Clone, Default)]
pub struct Broken {
    /// How many messages break it.
    pub count: u64,
    /// The first of them.
    pub samples: Vec<String>,
}

/// The assertions of a reader, and what became of them.
pub struct Assertions {
    topic: String,
    all: Vec<Assertion>,
    kept: Mutex<(u64, Vec<Broken>)>,
}

impl Assertions {
    /// Nothing read yet.
    pub fn new(topic: &str, all: Vec<Assertion>) -> Self {
        let kept = Mutex::new((0, vec![Broken::default(); all.len()]));
        Self { topic: topic.to_owned(), all, kept }
    }

    /// Takes a message.
    pub fn take(&self, message: &Tapped<'_>) {
        let found: Vec<_> = self.all.iter().map(|assertion| assertion.holds(message)).collect();
        let mut kept = lock(&self.kept);
        kept.0 += 1;
        for (broken, found) in kept.1.iter_mut().zip(found) {
            let Err(why) = found else { continue };
            broken.count += 1;
            if broken.samples.len() < SAMPLES {
                broken.samples.push(self.sample(message, &why));
            }
        }
    }

    fn sample(&self, message: &Tapped<'_>, why: &str) -> String {
        let shown = |bytes: Option<&[u8]>| {
            bytes.map_or_else(|| "null".to_owned(), |bytes| short(&String::from_utf8_lossy(bytes), SHOWN))
        };
        let (partition, offset) = (message.partition, message.offset);
        let (key, value) = (shown(message.key), shown(message.payload));
        format!("record {}-{partition}@{offset}: {why} (key {key}, value {value})", self.topic)
    }

    /// How many messages were looked at.
    pub fn looked(&self) -> u64 {
        lock(&self.kept).0
    }

    /// Each expression with what became of it, in order.
    pub fn found(&self) -> Vec<(String, Broken)> {
        let kept = lock(&self.kept);
        self.all.iter().map(|assertion| assertion.text.clone()).zip(kept.1.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: Option<&'static [u8]>) -> Tapped<'static> {
        Tapped {
            partition: 3,
            offset: 17,
            timestamp_ms: Some(1_000),
            key: Some(b"k"),
            payload,
            headers: vec![(c"region", Some(b"eu")), (c"none", None)],
            identity: None,
        }
    }

    fn holds(text: &str, payload: Option<&'static [u8]>) -> Result<(), String> {
        Assertion::parse(text).expect("an expression").holds(&message(payload))
    }

    #[test]
    fn all_parts_of_a_message_can_be_asserted() {
        let json = Some(br#"{"amount":5,"items":["a"],"id":"k"}"#.as_slice());
        for text in [
            "value.amount > 4 and value.items[0] == 'a'",
            "value.id == key",
            "headers.region == 'eu' and headers.none is none",
            "headers.other is undefined",
            "timestamp_ms == 1000 and partition == 3 and offset == 17",
            "not tombstone and size == 35",
        ] {
            assert_eq!(holds(text, json), Ok(()), "{text}");
        }
        assert_eq!(holds("tombstone and value is none and size == 0", None), Ok(()));
        assert_eq!(holds("value == 'plain text'", Some(b"plain text")), Ok(()));
        assert_eq!(holds("value.amount > 5", json), Err("it is false".to_owned()));
        assert!(holds("value.missing > 5", json).is_err(), "what is not there holds nothing");
        assert!(holds("value.amount > 5", Some(b"no JSON")).is_err());
    }

    #[test]
    fn a_text_is_not_compared_with_a_number() {
        for (text, payload) in [
            ("value.amount > 0", r#"{"amount":"-5"}"#),
            ("value.amount < 9", r#"{"amount":null}"#),
            ("value.amount > 0", r#"{"amount":[1]}"#),
            ("value.amount != 0", r#"{"amount":"0"}"#),
            ("value > 5", "no JSON"),
            ("headers.region > 3", "1"),
            ("headers.region is gt(3)", "1"),
        ] {
            let why = holds(text, Some(payload.as_bytes()));
            assert!(why.is_err_and(|why| why != "it is false"), "{text} of {payload}");
        }
        assert_eq!(holds("value.amount | float < 0", Some(br#"{"amount":"-5.00"}"#)), Ok(()));
        assert_eq!(holds("value.amount | float > 0", Some(br#"{"amount":"-5.00"}"#)), Err("it is false".to_owned()));
    }

    #[test]
    fn what_no_message_has_is_refused() {
        let fault = |text: &str| Assertion::parse(text).err().expect("a fault");
        assert!(fault("payload.a == 1").contains("a message has no `payload`"));
        assert!(fault("value.a ==").contains("is not an expression"));
        assert!(fault(&"1 + ".repeat(300)).contains("bytes"));
    }

    #[test]
    fn what_is_broken_is_counted_and_the_first_named() {
        let all = ["size > 2", "key == 'k'"].map(|text| Assertion::parse(text).expect("an expression"));
        let assertions = Assertions::new("orders", all.into());
        for payload in [b"long".as_slice(), b"s", b"t"] {
            assertions.take(&message(Some(payload)));
        }
        let found = assertions.found();
        assert_eq!((assertions.looked(), found[0].1.count, found[1].1.count), (3, 2, 0));
        assert_eq!(found[0].1.samples[0], "record orders-3@17: it is false (key k, value s)");
    }
}
