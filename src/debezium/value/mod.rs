//! Whether a value in an event is the value in the database.
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

use crate::database::{Column, ColumnValue, Relation, UserType};
use crate::text::short;
use kind::ValueKind;
use modes::{Binary, Intervals};
use serde_json::{Map, Value};
use time::Interval;

/// So much of a value is shown, in characters.
const MOST_SHOWN: usize = 57;

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
    row: &[ColumnValue],
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
            None if whole && ValueKind::of(column).is_always_written() => {
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
                let (database, event) = (short(&database, MOST_SHOWN), short(&event, MOST_SHOWN));
                return Err(format!("column {}: {database} in the database, {event} in the event", column.name));
            }
        }
    }
    Ok(result)
}

/// Compares one value.
pub fn compare(column: &Column, cell: &ColumnValue, value: &Value, modes: &Modes) -> Agreement {
    match (cell, value) {
        (ColumnValue::Unchanged, _) => Agreement::NotCompared,
        (_, value) if is_placeholder(value, modes) => Agreement::NotCompared,
        (ColumnValue::Null, Value::Null) => Agreement::Equal,
        (ColumnValue::Null, _) if may_be_filled(column, modes) => Agreement::NotCompared,
        (ColumnValue::Null, _) => Agreement::Different,
        (ColumnValue::Text(text), Value::Null) => {
            if has_no_form(column, text) {
                Agreement::NotCompared
            } else {
                Agreement::Different
            }
        }
        (ColumnValue::Text(text), value) => {
            let variants = modes.variants();
            let all = variants.iter().map(|modes| compare_text(column, text, value, modes));
            all.reduce(better).unwrap_or(Agreement::NotCompared)
        }
    }
}

/// Compares a value with that of another table's column, to which it was brought in some way.
pub fn compare_cells(
    column: &Column,
    cell: &ColumnValue,
    other: &Column,
    value: &ColumnValue,
    modes: &Modes,
) -> Agreement {
    // Both to the precision that was brought.
    let other = Column { type_modifier: column.type_modifier, ..other.clone() };
    let (kind, other_kind) = (ValueKind::of(column), ValueKind::of(&other));
    match (cell, value) {
        (ColumnValue::Unchanged, _) | (_, ColumnValue::Unchanged) => Agreement::NotCompared,
        (ColumnValue::Null, ColumnValue::Null) => Agreement::Equal,
        (ColumnValue::Null, _) if may_be_filled(column, modes) => Agreement::NotCompared,
        (ColumnValue::Null, _) => Agreement::Different,
        (ColumnValue::Text(text), ColumnValue::Null) if has_no_form(column, text) => Agreement::NotCompared,
        (ColumnValue::Text(_), ColumnValue::Null) => Agreement::Different,
        (ColumnValue::Text(text), ColumnValue::Text(value)) => {
            let forms = (canonical_text(column, text, modes), canonical_text(&other, value, modes));
            let same = text == value || matches!(&forms, (Some(one), Some(two)) if one == two);
            let alike = kind == other_kind && kind.is_exact() && forms.0.is_some() && forms.1.is_some();
            match (same, alike) {
                (true, _) => Agreement::Equal,
                (false, true) => Agreement::Different,
                (false, false) => Agreement::NotCompared,
            }
        }
    }
}

/// Whether an event may have the column's default where the row has NULL.
pub fn may_be_filled(column: &Column, modes: &Modes) -> bool {
    column.has_default && modes.fills_nulls
}

/// What Debezium writes as null because its type has no such value, or because it does not know the type.
fn has_no_form(column: &Column, text: &str) -> bool {
    match ValueKind::of(column) {
        ValueKind::Date | ValueKind::Timestamp | ValueKind::TimestampTz => text.ends_with("infinity"),
        ValueKind::Loose => true,
        _ => false,
    }
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
    let kind = ValueKind::of(column);
    if kind == ValueKind::Interval && modes.intervals == Intervals::Numeric {
        return match (Interval::of_text(text), value.as_i64()) {
            // The connector reckons in doubles.
            (Some(interval), Some(us)) => {
                let near = (interval.microseconds() - us as f64).abs() <= 2.0 + (us as f64).abs() * 1e-15;
                if near { Agreement::Equal } else { Agreement::Different }
            }
            _ => Agreement::NotCompared,
        };
    }
    if kind == ValueKind::Json && value.as_str() == Some(text) {
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

fn is_alien(kind: ValueKind, value: &Value) -> bool {
    match kind {
        ValueKind::Bool => !value.is_boolean(),
        ValueKind::Int => !value.is_number(),
        ValueKind::Text | ValueKind::Char | ValueKind::Uuid => !value.is_string(),
        _ => false,
    }
}

/// The canonical form of PostgreSQL's text of a value, if there is one.
pub fn canonical_text(column: &Column, text: &str, modes: &Modes) -> Option<String> {
    let precision = column.type_modifier;
    match ValueKind::of(column) {
        ValueKind::Bool => Some(text.to_owned()),
        ValueKind::Int => text.parse::<i64>().ok().map(|number| number.to_string()),
        ValueKind::Float4 => text.parse::<f32>().ok().and_then(float4),
        ValueKind::Float8 => number::float(text.parse().ok()?),
        ValueKind::Text | ValueKind::Notation | ValueKind::Loose => Some(text.to_owned()),
        ValueKind::Char => Some(text.trim_end_matches(' ').to_owned()),
        ValueKind::Uuid => Some(text.to_ascii_lowercase()),
        ValueKind::Inet => Some(inet(text).to_owned()),
        ValueKind::Json => compound::json(text),
        ValueKind::Numeric => number::of_text(text, modes.decimals),
        ValueKind::Money => number::money(text, modes.decimals, modes.money),
        ValueKind::Date => time::date(text).map(|days| days.to_string()),
        ValueKind::Time => time::time(text).map(|us| time::counted(us, modes.times, precision, true)),
        ValueKind::TimeTz => time::time_tz(text).map(|us| us.to_string()),
        ValueKind::Timestamp => time::moment(text).map(|us| time::counted(us, modes.times, precision, false)),
        ValueKind::TimestampTz => time::instant(text).map(|us| us.to_string()),
        ValueKind::Interval => Interval::of_text(text).map(|interval| match modes.intervals {
            // To the millisecond: it identifies rows within a record of the log, and the connector reckons in doubles.
            Intervals::Numeric => ((interval.microseconds() / 1000.0).round()).to_string(),
            Intervals::Text => interval.form(),
        }),
        ValueKind::Bytea => binary::bytea(text).map(|bytes| binary::form(&bytes)),
        ValueKind::Bits => binary::bits(text).map(|bytes| binary::form(&bytes)),
        ValueKind::Hstore => compound::hstore(text).map(|pairs| format!("{pairs:?}")),
        ValueKind::Point => point(text),
        ValueKind::Array(element) => {
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
    match ValueKind::of(column) {
        ValueKind::Bool => value.as_bool().map(|flag| if flag { "t" } else { "f" }.to_owned()),
        ValueKind::Int => value.as_i64().map(|number| number.to_string()),
        // Floats have values that JSON has no number for.
        ValueKind::Float4 => match value {
            Value::String(text) => float4(text.parse().ok()?),
            // The number was a float before it became text.
            value => float4(value.as_f64()? as f32),
        },
        ValueKind::Float8 => match value {
            Value::String(text) => number::float(text.parse().ok()?),
            value => number::float(value.as_f64()?),
        },
        ValueKind::Text | ValueKind::Notation | ValueKind::Loose => text(),
        ValueKind::Char => value.as_str().map(|text| text.trim_end_matches(' ').to_owned()),
        ValueKind::Uuid => value.as_str().map(str::to_ascii_lowercase),
        ValueKind::Inet => value.as_str().map(|text| inet(text).to_owned()),
        ValueKind::Json => match value {
            Value::String(text) => compound::json(text),
            other => compound::json(&other.to_string()),
        },
        ValueKind::Numeric => number::of_value(column.type_modifier, value, modes.decimals),
        ValueKind::Money => number::money_of_value(value, modes.decimals, modes.money?),
        ValueKind::Date => time::days(value, modes.times).map(|days| days.to_string()),
        ValueKind::Time => time::count(value, modes.times, precision, true),
        ValueKind::TimeTz => value.as_str().and_then(time::time_tz).map(|us| us.to_string()),
        ValueKind::Timestamp => time::count(value, modes.times, precision, false),
        ValueKind::TimestampTz => value.as_str().and_then(time::instant).map(|us| us.to_string()),
        ValueKind::Interval => match modes.intervals {
            Intervals::Numeric => value.as_i64().map(|us| ((us as f64 / 1000.0).round()).to_string()),
            Intervals::Text => Interval::of_iso(value.as_str()?).map(Interval::form),
        },
        ValueKind::Bytea => match modes.binary {
            Binary::Base64 | Binary::UrlSafe => binary::base64(value.as_str()?),
            Binary::Hex => binary::hex(value.as_str()?),
        }
        .map(|bytes| binary::form(&bytes)),
        ValueKind::Bits => match value {
            Value::Bool(flag) => Some(if *flag { "01" } else { "" }.to_owned()),
            value => Some(binary::form(&binary::without_zeros(binary::base64(value.as_str()?)?))),
        },
        ValueKind::Hstore => compound::pairs(value).map(|pairs| format!("{pairs:?}")),
        ValueKind::Point => {
            let part = |name: &str| number::float(value.get(name)?.as_f64()?);
            Some(format!("{},{}", part("x")?, part("y")?))
        }
        ValueKind::Array(element) => {
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

/// Whether equal values of two columns have one canonical form.
pub fn are_of_one_kind(one: &Column, other: &Column) -> bool {
    ValueKind::of(one) == ValueKind::of(other)
}

/// The bytes of PostgreSQL's text of a `bytea`; `None` for a value of another type.
pub fn bytes(column: &Column, text: &str) -> Option<Vec<u8>> {
    if ValueKind::of(column) == ValueKind::Bytea { binary::bytea(text) } else { None }
}

/// JSON in one form; `None` for what is not JSON or cannot be told exactly.
pub fn canonical_json(text: &str) -> Option<String> {
    compound::json(text)
}

/// A value as text, for people.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
