use std::sync::Arc;

use serde_json::Value;

use super::index::{Index, NodeShape};
use crate::text::{Place, Problem, SourceText, Span};

/// What YAML 1.2's core schema (specification 1.2.2, section 10.3) says that an unquoted scalar is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Core {
    Null,
    Bool(bool),
    /// `None` where it does not fit.
    Integer(Option<i128>),
    Float(f64),
    Text,
}

impl Core {
    pub(super) fn of(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            ".nan" | ".NaN" | ".NAN" => return Self::Float(f64::NAN),
            _ => {}
        }
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
            return Self::Float(sign * f64::INFINITY);
        }
        for (prefix, radix) in [("0o", 8), ("0x", 16)] {
            if let Some(digits) = text.strip_prefix(prefix)
                && !digits.is_empty()
                && digits.chars().all(|c| c.is_digit(radix))
            {
                return Self::Integer(i128::from_str_radix(digits, radix).ok());
            }
        }
        if !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit()) {
            return Self::Integer(text.parse().ok());
        }
        if is_decimal(unsigned) {
            return text.parse().map_or(Self::Text, Self::Float);
        }
        Self::Text
    }
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_ok = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_ok = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    mantissa_ok && exponent_ok
}

/// Holds the values of one YAML reader against the scalars that the other one saw.
pub(super) fn disagreements(source: &Arc<SourceText>, index: &Index, value: &Value) -> Vec<Problem> {
    let mut check = Check { source, index, problems: Vec::new() };
    check.node(index.root(), value);
    check.problems
}

struct Check<'a> {
    source: &'a Arc<SourceText>,
    index: &'a Index,
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// Descends at most `MAX_DEPTH` levels and visits at most `MAX_VALUES` values: the scan made sure of both.
    fn node(&mut self, id: usize, value: &Value) {
        let span = self.index.node(id).span;
        match (&self.index.resolved(id).shape, value) {
            (NodeShape::Sequence(items), Value::Array(values)) if items.len() == values.len() => {
                for (&item, value) in items.iter().zip(values) {
                    self.node(item, value);
                }
            }
            (NodeShape::Mapping(entries), Value::Object(map)) if entries.len() == map.len() => {
                for entry in entries {
                    match map.get(&entry.key) {
                        Some(value) => self.node(entry.value, value),
                        None => self.ambiguous(entry.key_span, &entry.key),
                    }
                }
            }
            (NodeShape::Scalar { text, plain: true }, value) => self.plain(span, text, value),
            (NodeShape::Scalar { text, plain: false }, Value::String(value)) if text == value => {}
            _ => self.ambiguous(span, self.source.slice(span)),
        }
    }

    fn plain(&mut self, span: Span, text: &str, value: &Value) {
        let integer = |value: &Value| {
            let signed = value.as_i64().map(i128::from);
            signed.or_else(|| value.as_u64().map(i128::from))
        };
        let agreed = match (Core::of(text), value) {
            (Core::Null, Value::Null) => true,
            (Core::Bool(one), Value::Bool(other)) => one == *other,
            (Core::Integer(one), Value::Number(_)) => one == integer(value),
            (Core::Float(one), Value::Number(_)) => Some(one) == value.as_f64(),
            (Core::Text, Value::String(other)) => text == other,
            _ => false,
        };
        if !agreed {
            self.ambiguous(span, text);
        }
    }

    fn ambiguous(&mut self, span: Span, text: &str) {
        let place = Place { source: Arc::clone(self.source), span };
        let shown = shortened(text);
        self.problems.push(
            Problem::new("ambiguous-value", format!("YAML readers disagree about what `{shown}` is")).at(place).help(
                if text.starts_with('0') {
                    format!("write a number without leading zeros, or a text in quotes: \"{shown}\"")
                } else {
                    format!("if it is a text, write it in quotes: \"{shown}\"")
                },
            ),
        );
    }
}

/// What is wrong with an unquoted number that no program could use: not finite, or larger than 64 bits.
pub(super) fn unusable_number(text: &str) -> Option<Problem> {
    let shown = shortened(text);
    let problem = match Core::of(text) {
        Core::Float(number) if !number.is_finite() => {
            Problem::new("number-not-finite", format!("`{shown}` is not a finite number"))
        }
        Core::Integer(number) if number.is_none_or(|n| n > u64::MAX.into() || n < i64::MIN.into()) => {
            Problem::new("number-too-large", format!("`{shown}` does not fit a whole number of 64 bits"))
        }
        _ => return None,
    };
    Some(problem.help(format!("if it is a text, write it in quotes: \"{shown}\"")))
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}
