//! Numbers of any size and scale, and how Debezium writes them.

use super::binary::base64;
use super::modes::Decimals;
use serde_json::Value;

/// Digits without a sign of zero, leading zeros, trailing zeros of the fraction and exponent; `None` for what is not a number.
pub(super) fn normal(text: &str) -> Option<String> {
    let text = text.trim();
    let (text, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix('+').unwrap_or(exponent).parse::<i32>().ok()?),
        None => (text, 0),
    };
    if exponent.abs() > 100_000 {
        return None;
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let (mut whole, mut fraction) = (String::new(), String::new());
    if point <= 0 {
        fraction = "0".repeat(usize::try_from(-point).ok()?) + &all;
    } else {
        let point = usize::try_from(point).ok()?;
        whole = all.chars().take(point).collect();
        whole.push_str(&"0".repeat(point.saturating_sub(all.len())));
        fraction.extend(all.chars().skip(point));
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    Some(if whole.is_empty() && fraction.is_empty() { "0".to_owned() } else { format!("{sign}{whole}.{fraction}") })
}

/// PostgreSQL's text of a `numeric`.
pub(super) fn of_text(text: &str, decimals: Decimals) -> Option<String> {
    match decimals {
        Decimals::Double | Decimals::Numeric => float(text.parse().ok()?),
        Decimals::Precise | Decimals::Text => match text {
            "NaN" | "Infinity" | "-Infinity" => Some(text.to_owned()),
            _ => normal(text),
        },
    }
}

/// A `numeric` in an event.
pub(super) fn of_value(type_modifier: i32, value: &Value, decimals: Decimals) -> Option<String> {
    match (decimals, value) {
        (Decimals::Double | Decimals::Numeric, Value::Number(number)) => float(number.as_f64()?),
        (Decimals::Double, Value::String(text)) => float(text.parse().ok()?),
        (Decimals::Text, Value::String(text)) => of_text(text, decimals),
        // Base64 of the unscaled two's complement, its scale in the column's type or beside it.
        (Decimals::Precise | Decimals::Numeric, Value::Object(variable)) => {
            let scale = usize::try_from(variable.get("scale")?.as_u64()?).ok()?;
            let digits = match variable.get("value")? {
                Value::String(text) => scaled(&base64(text)?, scale),
                _ => return None,
            };
            again(&digits, decimals)
        }
        (Decimals::Precise, Value::String(text)) if type_modifier >= 4 => {
            let scale = ((type_modifier - 4) & 0x7FF) as usize;
            // Since PostgreSQL 15 a scale may be negative, in eleven bits.
            if scale > 1023 {
                return None;
            }
            normal(&scaled(&base64(text).filter(|bytes| !bytes.is_empty())?, scale))
        }
        _ => None,
    }
}

fn again(digits: &str, decimals: Decimals) -> Option<String> {
    if decimals == Decimals::Numeric { float(digits.parse().ok()?) } else { normal(digits) }
}

pub(super) fn float(number: f64) -> Option<String> {
    // Zero has two signs in a double and one in a decimal.
    Some(format!("{:?}", if number == 0.0 { 0.0 } else { number }))
}

/// PostgreSQL's text of a `money`, in the smallest unit of the currency: separators and currency are a matter of the locale.
pub(super) fn money(text: &str) -> Option<String> {
    let negative = text.contains('-') || text.contains('(');
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let fraction = text.trim_end_matches(|c: char| !c.is_ascii_digit()).rsplit(['.', ',']).next()?;
    let separated = text.contains(['.', ',']);
    let scale = if separated && fraction.chars().all(|c| c.is_ascii_digit()) && fraction.len() < 3 {
        fraction.len()
    } else {
        0
    };
    let split = digits.len().checked_sub(scale)?;
    normal(&format!("{}{}.{}", if negative { "-" } else { "" }, &digits[..split], &digits[split..]))
}

/// A `money` in an event; its scale is the connector's `money.fraction.digits`, 2 by default.
pub(super) fn money_of_value(value: &Value, decimals: Decimals) -> Option<String> {
    match (decimals, value) {
        (Decimals::Precise, Value::String(text)) => normal(&scaled(&base64(text)?, 2)),
        (Decimals::Text, Value::String(text)) => normal(text),
        (_, Value::Number(number)) => normal(&number.to_string()),
        _ => None,
    }
}

/// A big-endian two's complement integer with its decimal point set.
pub(super) fn scaled(bytes: &[u8], scale: usize) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        for (text, form) in
            [("1.50", "1.5"), ("-0.00", "0"), ("1E+3", "1000."), ("12e-3", ".012"), ("007", "7."), ("0E-10", "0")]
        {
            assert_eq!(normal(text).as_deref(), Some(form), "{text}");
        }
        assert_eq!(normal("1,5"), None);
        assert_eq!(money("$1,234.50").as_deref(), Some("1234.5"));
        assert_eq!(money("-12,34 €").as_deref(), Some("-12.34"));
        assert_eq!(money("($0.07)").as_deref(), Some("-.07"));
    }
}
