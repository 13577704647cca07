//! Is a value in an event the value in the database?
//!
//! PostgreSQL writes a value as text, Debezium as JSON in a form that depends on the type and on the connector's settings. Both are
//! brought into one canonical form by type. A value counts as different only where both forms are understood and disagree; what is not
//! understood is counted as not compared, never as equal and never as wrong.

mod binary;
mod compound;
mod kind;
mod modes;
mod number;
mod time;

pub use modes::Modes;

use crate::database::{Cell, Column, Relation, UserType};
use kind::Kind;
use modes::{Binary, Intervals};
use serde_json::{Map, Value};
use time::Interval;

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Both forms are understood and say the same.
    Equal,
    /// Both forms are understood and say different things.
    Different,
    /// A form is not understood, or the value is not in the event.
    NotCompared,
}

/// Two rows that agree, as far as they can be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Columns whose values were compared.
    pub compared: u32,
    /// Columns whose values were not.
    pub not_compared: Vec<String>,
}

/// Compares a row of the database with an event's. `changed` tells of a column, by its place, whether it is masked, cut, left out or
/// otherwise changed on purpose; `whole`, whether an event has every other column.
///
/// # Errors
/// The first difference in words.
pub fn compare_rows(
    relation: &Relation,
    row: &[Cell],
    event: &Map<String, Value>,
    modes: &Modes,
    whole: bool,
    changed: &dyn Fn(usize) -> bool,
) -> Result<Compared, String> {
    let mut result = Compared::default();
    for (place, (column, cell)) in relation.columns.iter().zip(row).enumerate() {
        let agreement = match event.get(&column.name) {
            _ if changed(place) => Agreement::NotCompared,
            Some(value) => compare(column, cell, value, modes),
            // A streamed row has every column that the connector does not leave out.
            None if whole && Kind::of(column).is_always_written() => {
                return Err(format!("column {} is missing from the event", column.name));
            }
            None => Agreement::NotCompared,
        };
        match agreement {
            Agreement::Equal => result.compared += 1,
            Agreement::NotCompared => result.not_compared.push(column.name.clone()),
            Agreement::Different => {
                let database = cell.text().map_or_else(|| "NULL".to_owned(), |text| format!("{text:?}"));
                let event = event.get(&column.name).map(ToString::to_string).unwrap_or_default();
                let (database, event) = (short(&database), short(&event));
                return Err(format!("column {}: {database} in the database, {event} in the event", column.name));
            }
        }
    }
    Ok(result)
}

fn short(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(57).collect::<String>() + "…" }
}

/// Compares one value.
pub fn compare(column: &Column, cell: &Cell, value: &Value, modes: &Modes) -> Agreement {
    match (cell, value) {
        (Cell::Unchanged, _) => Agreement::NotCompared,
        (_, value) if is_placeholder(value, modes) => Agreement::NotCompared,
        (Cell::Null, Value::Null) => Agreement::Equal,
        (Cell::Null, _) => Agreement::Different,
        (Cell::Text(text), Value::Null) => {
            if has_no_form(column, text) {
                Agreement::NotCompared
            } else {
                Agreement::Different
            }
        }
        (Cell::Text(text), value) => {
            let variants = modes.variants();
            let all = variants.iter().map(|modes| compare_text(column, text, value, modes));
            all.reduce(better).unwrap_or(Agreement::NotCompared)
        }
    }
}

/// What Debezium writes as null because its type has no such value.
fn has_no_form(column: &Column, text: &str) -> bool {
    matches!(Kind::of(column), Kind::Date | Kind::Timestamp | Kind::TimestampTz) && text.ends_with("infinity")
}

fn better(a: Agreement, b: Agreement) -> Agreement {
    match (a, b) {
        (Agreement::Equal, _) | (_, Agreement::Equal) => Agreement::Equal,
        (Agreement::Different, other) | (other, Agreement::Different) => {
            if other == Agreement::Different {
                other
            } else {
                Agreement::Different
            }
        }
        _ => Agreement::NotCompared,
    }
}

fn is_placeholder(value: &Value, modes: &Modes) -> bool {
    match value {
        Value::String(text) if *text == modes.placeholder => true,
        // Of bytes the placeholder is written as bytes.
        Value::String(text) => {
            text.len() >= modes.placeholder.len()
                && [binary::base64(text), binary::hex(text)].iter().flatten().any(|b| b == modes.placeholder.as_bytes())
        }
        Value::Array(items) => matches!(items.as_slice(), [only] if is_placeholder(only, modes)),
        Value::Object(object) => object.len() == 1 && object.contains_key(&modes.placeholder),
        _ => false,
    }
}

fn compare_text(column: &Column, text: &str, value: &Value, modes: &Modes) -> Agreement {
    let kind = Kind::of(column);
    if kind == Kind::Interval && modes.intervals == Intervals::Numeric {
        return match (Interval::of_text(text), value.as_i64()) {
            // The connector reckons in doubles.
            (Some(interval), Some(us)) => {
                let near = (interval.microseconds() - us as f64).abs() <= 2.0 + (us as f64).abs() * 1e-15;
                if near { Agreement::Equal } else { Agreement::Different }
            }
            _ => Agreement::NotCompared,
        };
    }
    if kind == Kind::Json && value.as_str() == Some(text) {
        return Agreement::Equal;
    }
    match (canonical_text(column, text, modes), canonical_value(column, value, modes)) {
        (Some(database), Some(event)) if database == event => Agreement::Equal,
        (Some(_), Some(_)) if kind.is_exact() => Agreement::Different,
        // A value of a kind that this type never has.
        (Some(_), None) if kind.is_exact() && is_alien(kind, value) => Agreement::Different,
        _ => Agreement::NotCompared,
    }
}

fn is_alien(kind: Kind, value: &Value) -> bool {
    match kind {
        Kind::Bool => !value.is_boolean(),
        Kind::Int => !value.is_number(),
        Kind::Text | Kind::Char | Kind::Uuid => !value.is_string(),
        _ => false,
    }
}

/// The canonical form of PostgreSQL's text of a value, if there is one.
pub fn canonical_text(column: &Column, text: &str, modes: &Modes) -> Option<String> {
    let precision = column.type_modifier;
    match Kind::of(column) {
        Kind::Bool => Some(text.to_owned()),
        Kind::Int => text.parse::<i64>().ok().map(|number| number.to_string()),
        Kind::Float4 => text.parse::<f32>().ok().and_then(float4),
        Kind::Float8 => number::float(text.parse().ok()?),
        Kind::Text | Kind::Notation | Kind::Loose => Some(text.to_owned()),
        Kind::Char => Some(text.trim_end_matches(' ').to_owned()),
        Kind::Uuid => Some(text.to_ascii_lowercase()),
        Kind::Inet => Some(inet(text).to_owned()),
        Kind::Json => compound::json(text),
        Kind::Numeric => number::of_text(text, modes.decimals),
        Kind::Money => number::money(text),
        Kind::Date => time::date(text).map(|days| days.to_string()),
        Kind::Time => time::time(text).map(|us| time::counted(us, modes.times, precision, true)),
        Kind::TimeTz => time::time_tz(text).map(|us| us.to_string()),
        Kind::Timestamp => time::moment(text).map(|us| time::counted(us, modes.times, precision, false)),
        Kind::TimestampTz => time::instant(text).map(|us| us.to_string()),
        Kind::Interval => Interval::of_text(text).map(|interval| match modes.intervals {
            // To the millisecond: it identifies rows within a record of the log, and the connector reckons in doubles.
            Intervals::Numeric => ((interval.microseconds() / 1000.0).round()).to_string(),
            Intervals::Text => interval.form(),
        }),
        Kind::Bytea => binary::bytea(text).map(|bytes| binary::form(&bytes)),
        Kind::Bits => binary::bits(text).map(|bytes| binary::form(&bytes)),
        Kind::Hstore => compound::hstore(text).map(|pairs| format!("{pairs:?}")),
        Kind::Point => point(text),
        Kind::Array(element) => {
            let inner = element_of(column, element);
            let items = compound::array(text)?.into_iter().map(|item| match item {
                None => Some("null".to_owned()),
                Some(item) => canonical_text(&inner, &item, modes).map(|form| format!("{form:?}")),
            });
            Some(items.collect::<Option<Vec<_>>>()?.join(","))
        }
    }
}

/// The canonical form of an event's value, if there is one.
pub fn canonical_value(column: &Column, value: &Value, modes: &Modes) -> Option<String> {
    let precision = column.type_modifier;
    let text = || value.as_str().map(str::to_owned);
    match Kind::of(column) {
        Kind::Bool => value.as_bool().map(|flag| if flag { "t" } else { "f" }.to_owned()),
        Kind::Int => value.as_i64().map(|number| number.to_string()),
        // Floats have values that JSON has no number for.
        Kind::Float4 => match value {
            Value::String(text) => float4(text.parse().ok()?),
            // The number was a float before it became text.
            value => float4(value.as_f64()? as f32),
        },
        Kind::Float8 => match value {
            Value::String(text) => number::float(text.parse().ok()?),
            value => number::float(value.as_f64()?),
        },
        Kind::Text | Kind::Notation | Kind::Loose => text(),
        Kind::Char => value.as_str().map(|text| text.trim_end_matches(' ').to_owned()),
        Kind::Uuid => value.as_str().map(str::to_ascii_lowercase),
        Kind::Inet => value.as_str().map(|text| inet(text).to_owned()),
        Kind::Json => match value {
            Value::String(text) => compound::json(text),
            other => compound::json(&other.to_string()),
        },
        Kind::Numeric => number::of_value(column.type_modifier, value, modes.decimals),
        Kind::Money => number::money_of_value(value, modes.decimals),
        Kind::Date => time::days(value, modes.times).map(|days| days.to_string()),
        Kind::Time => time::count(value, modes.times, precision, true),
        Kind::TimeTz => value.as_str().and_then(time::time_tz).map(|us| us.to_string()),
        Kind::Timestamp => time::count(value, modes.times, precision, false),
        Kind::TimestampTz => value.as_str().and_then(time::instant).map(|us| us.to_string()),
        Kind::Interval => match modes.intervals {
            Intervals::Numeric => value.as_i64().map(|us| ((us as f64 / 1000.0).round()).to_string()),
            Intervals::Text => Interval::of_iso(value.as_str()?).map(Interval::form),
        },
        Kind::Bytea => match modes.binary {
            Binary::Base64 | Binary::UrlSafe => binary::base64(value.as_str()?),
            Binary::Hex => binary::hex(value.as_str()?),
        }
        .map(|bytes| binary::form(&bytes)),
        Kind::Bits => match value {
            Value::Bool(flag) => Some(if *flag { "01" } else { "" }.to_owned()),
            value => Some(binary::form(&binary::without_zeros(binary::base64(value.as_str()?)?))),
        },
        Kind::Hstore => compound::pairs(value).map(|pairs| format!("{pairs:?}")),
        Kind::Point => {
            let part = |name: &str| number::float(value.get(name)?.as_f64()?);
            Some(format!("{},{}", part("x")?, part("y")?))
        }
        Kind::Array(element) => {
            let inner = element_of(column, element);
            let items = value.as_array()?.iter().map(|item| match item {
                Value::Null => Some("null".to_owned()),
                item => canonical_value(&inner, item, modes).map(|form| format!("{form:?}")),
            });
            Some(items.collect::<Option<Vec<_>>>()?.join(","))
        }
    }
}

fn element_of(column: &Column, element: u32) -> Column {
    Column { type_oid: element, user_type: UserType::No, ..column.clone() }
}

fn float4(number: f32) -> Option<String> {
    Some(format!("{:?}", if number == 0.0 { 0.0 } else { number }))
}

/// The host's own length of an address may be written or left out.
fn inet(text: &str) -> &str {
    let host = if text.contains(':') { "/128" } else { "/32" };
    text.strip_suffix(host).unwrap_or(text)
}

fn point(text: &str) -> Option<String> {
    let (x, y) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    Some(format!("{},{}", number::float(x.parse().ok()?)?, number::float(y.parse().ok()?)?))
}

/// JSON in one form; `None` for what is no JSON or cannot be told exactly.
pub fn canonical_json(text: &str) -> Option<String> {
    compound::json(text)
}

/// A value as text, for people.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
