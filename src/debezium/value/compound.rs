//! Values made of values: arrays, hstore, JSON.

use crate::ground::json::values;
use serde_json::Value;
use std::collections::BTreeMap;

/// The most values of JSON in one column that are looked at: each takes up to a hundred bytes of memory.
const MOST_VALUES: usize = 1 << 16;

/// The elements of an array of one dimension, `{1,NULL,"a b"}`; none for more dimensions or other bounds.
pub(super) fn array(text: &str) -> Option<Vec<Option<String>>> {
    let body = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut elements = Vec::new();
    if body.is_empty() {
        return Some(elements);
    }
    let mut chars = body.chars().peekable();
    loop {
        if chars.peek() == Some(&'"') {
            chars.next();
            let mut element = String::new();
            loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => element.push(chars.next()?),
                    c => element.push(c),
                }
            }
            elements.push(Some(element));
        } else {
            let mut element = String::new();
            while let Some(c) = chars.next_if(|c| *c != ',') {
                if c == '{' {
                    return None;
                }
                element.push(c);
            }
            elements.push((element != "NULL").then_some(element));
        }
        match chars.next() {
            None => return Some(elements),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

/// PostgreSQL's text of an hstore, `"a"=>"1", "b"=>NULL`.
pub(super) fn hstore(text: &str) -> Option<BTreeMap<String, Option<String>>> {
    let mut pairs = BTreeMap::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = quoted(rest)?;
        rest = after.trim_start().strip_prefix("=>")?.trim_start();
        let value = match rest.strip_prefix("NULL") {
            Some(after) => {
                rest = after;
                None
            }
            None => {
                let (value, after) = quoted(rest)?;
                rest = after;
                Some(value)
            }
        };
        pairs.insert(key, value);
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some(pairs)
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let body = text.strip_prefix('"')?;
    let mut out = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &body[at + 1..])),
            '\\' => out.push(chars.next()?.1),
            c => out.push(c),
        }
    }
    None
}

/// The pairs of a JSON object of texts, in JSON text or as such.
pub(super) fn pairs(value: &Value) -> Option<BTreeMap<String, Option<String>>> {
    let parsed: Value;
    let object = match value {
        Value::Object(object) => object,
        Value::String(text) if values(text.as_bytes()) > MOST_VALUES => return None,
        Value::String(text) => {
            parsed = serde_json::from_str(text).ok()?;
            parsed.as_object()?
        }
        _ => return None,
    };
    object
        .iter()
        .map(|(key, value)| match value {
            Value::Null => Some((key.clone(), None)),
            Value::String(text) => Some((key.clone(), Some(text.clone()))),
            _ => None,
        })
        .collect()
}

/// JSON in one form: keys in order, numbers exact. None for what cannot be told exactly: the value of a number beyond a double's digits
/// and a key that occurs twice; and for more values than are looked at.
pub(super) fn json(text: &str) -> Option<String> {
    if values(text.as_bytes()) > MOST_VALUES {
        return None;
    }
    let mut digits = 0;
    let mut in_string = false;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => {
                bytes.next();
            }
            b'"' => in_string = !in_string,
            b'0'..=b'9' if !in_string => {
                digits += 1;
                if digits > 15 {
                    return None;
                }
            }
            b'.' | b'-' | b'+' | b'e' | b'E' if !in_string && digits > 0 => {}
            _ => digits = 0,
        }
    }
    let value: Value = serde_json::from_str(text).ok()?;
    let mut out = String::with_capacity(text.len());
    write(&value, &mut out)?;
    Some(out)
}

fn write(value: &Value, out: &mut String) -> Option<()> {
    match value {
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write(item, out)?;
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(object) => {
            let sorted: BTreeMap<&String, &Value> = object.iter().collect();
            out.push('{');
            for (key, value) in sorted {
                out.push_str(&serde_json::to_string(key).ok()?);
                out.push(':');
                write(value, out)?;
                out.push(',');
            }
            out.push('}');
        }
        Value::Number(number) => out.push_str(&super::number::float(number.as_f64()?)?),
        other => out.push_str(&other.to_string()),
    }
    Some(())
}
