//! Is a value in an event the value in the database?
//!
//! PostgreSQL writes a value as text, Debezium as JSON in a form that depends on type and settings (`decimal.handling.mode`,
//! `time.precision.mode`, `binary.handling.mode`). A value counts as different only where both forms are understood and disagree; a form
//! that is not understood is counted as not compared, never as wrong.

use crate::database::{Cell, Column, Relation};
use jiff::civil::{Date, DateTime, Time};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value};
use tokio_postgres::types::Type;

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    Equal,
    Different,
    /// The form in the event is not understood, or the value is not in it.
    NotCompared,
}

/// What Debezium writes for a large value that an update left as it was.
const UNAVAILABLE: &str = "__debezium_unavailable_value";

/// Compares a row with an event's. The first difference in words, else the number of columns that could not be compared.
pub(super) fn compare_rows(relation: &Relation, row: &[Cell], event: &Map<String, Value>) -> Result<u32, String> {
    let mut not_compared = 0;
    for (column, cell) in relation.columns.iter().zip(row) {
        let Some(value) = event.get(&column.name) else {
            not_compared += 1; // column.exclude.list
            continue;
        };
        match compare(column, cell, value) {
            Agreement::Equal => {}
            Agreement::NotCompared => not_compared += 1,
            Agreement::Different => {
                let database = cell.text().map_or_else(|| "NULL".to_owned(), |text| format!("{text:?}"));
                return Err(format!(
                    "column {}: {} in the database, {} in the event",
                    column.name,
                    short(&database),
                    short(&value.to_string())
                ));
            }
        }
    }
    Ok(not_compared)
}

fn short(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(57).collect::<String>() + "…" }
}

fn compare(column: &Column, cell: &Cell, value: &Value) -> Agreement {
    match (cell, value) {
        (Cell::Unchanged, _) => Agreement::NotCompared,
        (_, Value::String(text)) if text == UNAVAILABLE => Agreement::NotCompared,
        (Cell::Null, Value::Null) => Agreement::Equal,
        (Cell::Null, _) | (Cell::Text(_), Value::Null) => Agreement::Different,
        (Cell::Text(text), value) => compare_text(column, text, value),
    }
}

fn compare_text(column: &Column, text: &str, value: &Value) -> Agreement {
    let verdict = |equal: Option<bool>| match equal {
        Some(true) => Agreement::Equal,
        Some(false) => Agreement::Different,
        None => Agreement::NotCompared,
    };
    let ty = Type::from_oid(column.type_oid);
    verdict(match ty {
        Some(Type::BOOL) => value.as_bool().map(|flag| flag == (text == "t")),
        Some(Type::INT2 | Type::INT4 | Type::INT8 | Type::OID) => value.as_i64().map(|n| text.parse() == Ok(n)),
        Some(Type::FLOAT8) => value.as_f64().map(|n| text.parse() == Ok(n)),
        Some(Type::FLOAT4) => value.as_f64().map(|n| text.parse() == Ok(n as f32)),
        Some(Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UUID) => {
            value.as_str().map(|string| string == text)
        }
        Some(Type::JSON | Type::JSONB) => value.as_str().and_then(|string| {
            let database: Value = serde_json::from_str(text).ok()?;
            Some(serde_json::from_str::<Value>(string).ok()? == database)
        }),
        Some(Type::NUMERIC) => numeric(column.type_modifier, text, value),
        Some(Type::DATE) => date(text).zip(value.as_i64()).map(|(days, number)| days == number),
        Some(Type::TIMESTAMP) => moment(text).zip(value.as_i64()).map(|(us, number)| same_moment(us, number)),
        Some(Type::TIME) => time(text).zip(value.as_i64()).map(|(us, number)| same_moment(us, number)),
        Some(Type::TIMESTAMPTZ) => {
            let database: Option<Timestamp> = text.parse().ok();
            database.zip(value.as_str().and_then(|string| string.parse::<Timestamp>().ok())).map(|(a, b)| a == b)
        }
        Some(Type::BYTEA) => bytea(text).zip(value.as_str().and_then(base64)).map(|(a, b)| a == b),
        // Enums and other types that Debezium writes as text: agreement is certain, disagreement may be notation.
        _ => value.as_str().filter(|string| *string == text).map(|_| true),
    })
}

/// The text PostgreSQL has for a key's value that an event carries, so that both name a row alike.
pub(super) fn key_text(column: &Column, value: &Value) -> String {
    match (Type::from_oid(column.type_oid), value) {
        (_, Value::Null) => "null".to_owned(),
        (Some(Type::BOOL), Value::Bool(flag)) => if *flag { "t" } else { "f" }.to_owned(),
        (Some(Type::NUMERIC), value) => decimal(column.type_modifier, value).unwrap_or_else(|| plain(value)),
        (Some(Type::DATE), Value::Number(days)) => days
            .as_i64()
            .and_then(|days| Date::constant(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok())
            .map_or_else(|| plain(value), |date| date.to_string()),
        (_, value) => plain(value),
    }
}

pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Microseconds, or milliseconds or nanoseconds where the settings say so. All three forms of a moment differ by factors that no
/// wrong value hits by chance, except 0.
fn same_moment(us: i64, number: i64) -> bool {
    number == us || number == us.div_euclid(1000) || Some(number) == us.checked_mul(1000)
}

fn date(text: &str) -> Option<i64> {
    let date: Date = text.parse().ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second().div_euclid(86_400))
}

fn moment(text: &str) -> Option<i64> {
    let moment: DateTime = text.parse().ok()?;
    Some(moment.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

fn time(text: &str) -> Option<i64> {
    let time: Time = text.parse().ok()?;
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    Some(seconds * 1_000_000 + i64::from(time.subsec_nanosecond()) / 1000)
}

fn bytea(text: &str) -> Option<Vec<u8>> {
    let hex = text.strip_prefix("\\x")?;
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}

fn numeric(type_modifier: i32, text: &str, value: &Value) -> Option<bool> {
    let event = match value {
        // decimal.handling.mode=double
        Value::Number(number) => return Some(text.parse::<f64>().ok()? == number.as_f64()?),
        other => decimal(type_modifier, other)?,
    };
    Some(normal(text) == normal(&event))
}

/// `precise` is base64 of the unscaled two's complement, its scale in the column's type or beside it; `string` is the text itself.
fn decimal(type_modifier: i32, value: &Value) -> Option<String> {
    match value {
        Value::Object(variable) => {
            let scale = usize::try_from(variable.get("scale")?.as_u64()?).ok()?;
            Some(scaled(&base64(variable.get("value")?.as_str()?)?, scale))
        }
        // With a scale in the type the default is base64; four digits are base64 as well, so the type decides.
        Value::String(text) if type_modifier >= 4 => {
            let scale = ((type_modifier - 4) & 0x7FF) as usize;
            match base64(text) {
                Some(unscaled) if !text.contains('.') && !unscaled.is_empty() => Some(scaled(&unscaled, scale)),
                _ => Some(text.clone()),
            }
        }
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Digits without a sign of zero, leading zeros and trailing zeros of the fraction.
fn normal(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if whole.is_empty() && fraction.is_empty() { "0".to_owned() } else { format!("{sign}{whole}.{fraction}") }
}

/// A big-endian two's complement integer with its decimal point set.
fn scaled(bytes: &[u8], scale: usize) -> String {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut magnitude = bytes.to_vec();
    if negative {
        magnitude.iter_mut().for_each(|byte| *byte = !*byte);
        for byte in magnitude.iter_mut().rev() {
            let (sum, carry) = byte.overflowing_add(1);
            *byte = sum;
            if !carry {
                break;
            }
        }
    }
    let mut digits = vec![0u8]; // decimal, least significant first
    for byte in magnitude {
        let mut carry = u32::from(byte);
        for digit in &mut digits {
            carry += u32::from(*digit) * 256;
            *digit = (carry % 10) as u8;
            carry /= 10;
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    digits.resize(digits.len().max(scale + 1), 0);
    let mut text: String = digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect();
    if scale > 0 {
        text.insert(text.len() - scale, '.');
    }
    if negative { format!("-{text}") } else { text }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let (mut out, mut bits, mut held) = (Vec::new(), 0u32, 0u32);
    for byte in body.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        (bits, held) = ((bits << 6 | u32::from(six)) & 0xFFF, held + 6);
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(ty: &Type, type_modifier: i32, text: &str, value: Value) -> Agreement {
        let column = Column { name: "c".into(), type_oid: ty.oid(), type_modifier, key: false };
        compare(&column, &Cell::Text(text.into()), &value)
    }

    #[test]
    fn the_forms_of_debezium_are_understood() {
        let scale_2 = (10 << 16 | 2) + 4;
        for (ty, modifier, text, value) in [
            (Type::INT4, -1, "42", json!(42)),
            (Type::BOOL, -1, "t", json!(true)),
            (Type::FLOAT4, -1, "0.1", json!(0.1)),
            (Type::NUMERIC, scale_2, "123.45", json!("MDk=")),
            (Type::NUMERIC, scale_2, "-1.00", json!("nA==")),
            (Type::NUMERIC, scale_2, "12.50", json!("12.5")),
            (Type::NUMERIC, -1, "1.5", json!({"scale": 1, "value": "Dw=="})),
            (Type::DATE, -1, "1970-01-11", json!(10)),
            (Type::TIMESTAMP, -1, "1970-01-01 00:00:01.5", json!(1_500_000)),
            (Type::TIMESTAMP, 3, "1970-01-01 00:00:01.5", json!(1500)),
            (Type::TIMESTAMPTZ, -1, "2024-05-01 14:00:00.25+02", json!("2024-05-01T12:00:00.250000Z")),
            (Type::TIME, -1, "00:00:02", json!(2_000_000)),
            (Type::BYTEA, -1, "\\x6869", json!("aGk=")),
            (Type::JSONB, -1, "{\"a\": 1}", json!("{\"a\":1}")),
        ] {
            assert_eq!(check(&ty, modifier, text, value.clone()), Agreement::Equal, "{ty} {text} {value}");
        }
        assert_eq!(check(&Type::INT4, -1, "42", json!(43)), Agreement::Different);
        assert_eq!(check(&Type::TEXT, -1, "a", json!(null)), Agreement::Different);
        assert_eq!(check(&Type::NUMERIC, scale_2, "123.46", json!("MDk=")), Agreement::Different);
        assert_eq!(check(&Type::TEXT, -1, "a", json!(UNAVAILABLE)), Agreement::NotCompared);
        assert_eq!(check(&Type::INT4_ARRAY, -1, "{1}", json!([1])), Agreement::NotCompared);
    }

    #[test]
    fn keys_read_as_postgresql_writes_them() {
        let column = |ty: Type| Column { name: "k".into(), type_oid: ty.oid(), type_modifier: -1, key: true };
        assert_eq!(key_text(&column(Type::INT8), &json!(7)), "7");
        assert_eq!(key_text(&column(Type::DATE), &json!(19_844)), "2024-05-01");
        assert_eq!(key_text(&column(Type::UUID), &json!("a0ee")), "a0ee");
    }
}
