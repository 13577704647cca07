//! Values in the two notations.

use super::world::Settings;
use crate::database::ColumnValue;
use rand::prelude::*;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio_postgres::types::Type;

/// A value, as neither side writes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Datum {
    Null,
    Int(i64),
    Text(String),
    /// Hundredths.
    Number(i64),
    /// Microseconds.
    Moment(i64),
    Instant(i64),
    Day(i32),
    Bytes(Vec<u8>),
    Float(f64),
    Flag(bool),
    Uuid(u128),
}

pub(super) const KINDS: [Type; 10] = [
    Type::INT4,
    Type::TEXT,
    Type::NUMERIC,
    Type::TIMESTAMP,
    Type::TIMESTAMPTZ,
    Type::DATE,
    Type::BYTEA,
    Type::FLOAT8,
    Type::BOOL,
    Type::UUID,
];

impl Datum {
    /// One of few values, so that rows meet, or of many.
    pub(super) fn of(ty: &Type, rng: &mut StdRng, many: i64) -> Self {
        let n = rng.random_range(0..many);
        match *ty {
            Type::INT4 => Self::Int(n),
            Type::TEXT => Self::Text(format!("text {n}")),
            Type::NUMERIC => Self::Number(n * 50 - 100),
            Type::TIMESTAMP => Self::Moment(1_700_000_000_123_456 + n * 86_400_000_001),
            Type::TIMESTAMPTZ => Self::Instant(1_700_000_000_500_000 - n * 3_600_000_000),
            Type::DATE => Self::Day(19_000 - n as i32),
            Type::BYTEA => Self::Bytes(n.to_be_bytes()[6..].to_vec()),
            Type::FLOAT8 => Self::Float(n as f64 / 4.0),
            Type::BOOL => Self::Flag(n % 2 == 0),
            _ => Self::Uuid(n as u128 + (7 << 90)),
        }
    }

    pub(super) fn postgres(&self) -> ColumnValue {
        let moment = |us: i64, suffix: &str| {
            let at = jiff::Timestamp::from_microsecond(us).unwrap();
            format!(
                "{}{suffix}",
                at.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string().trim_end_matches('0').trim_end_matches('.')
            )
        };
        ColumnValue::Text(match self {
            Self::Null => return ColumnValue::Null,
            Self::Int(n) => n.to_string(),
            Self::Text(text) => text.clone(),
            Self::Number(n) => format!("{}{}.{:02}", if *n < 0 { "-" } else { "" }, n.abs() / 100, n.abs() % 100),
            Self::Moment(us) => moment(*us, ""),
            Self::Instant(us) => moment(*us, "+00"),
            Self::Day(days) => {
                jiff::Timestamp::from_second(i64::from(*days) * 86_400).unwrap().strftime("%Y-%m-%d").to_string()
            }
            Self::Bytes(bytes) => format!("\\x{}", hex(bytes)),
            Self::Float(f) => f.to_string(),
            Self::Flag(flag) => if *flag { "t" } else { "f" }.to_owned(),
            Self::Uuid(n) => uuid(*n),
        })
    }

    pub(super) fn debezium(&self, settings: &Settings) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Int(n) => json!(n),
            Self::Text(text) => json!(text),
            Self::Number(n) => match settings.decimals {
                "double" => json!(*n as f64 / 100.0),
                "string" => json!(format!("{}{}.{:02}", if *n < 0 { "-" } else { "" }, n.abs() / 100, n.abs() % 100)),
                _ => json!(base64(&n.to_be_bytes())),
            },
            Self::Moment(us) => json!(if settings.times == "connect" { us.div_euclid(1000) } else { *us }),
            Self::Instant(us) => json!(jiff::Timestamp::from_microsecond(*us).unwrap().to_string()),
            Self::Day(days) => json!(days),
            Self::Bytes(bytes) => json!(if settings.binary == "hex" { hex(bytes) } else { base64(bytes) }),
            Self::Float(f) => json!(f),
            Self::Flag(flag) => json!(flag),
            Self::Uuid(n) => json!(uuid(*n)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn uuid(n: u128) -> String {
    let digits = format!("{n:032x}");
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63]);
            out.push(if place <= chunk.len() { digit } else { '=' });
        }
    }
    out
}
