//! Numbers of any size and scale, and how Debezium writes them.

use super::binary::base64;
use super::modes::Decimals;
use serde_json::Value;

/// Digits that PostgreSQL keeps behind the point of a `numeric`.
const MOST_SCALE: usize = 16_383;
/// Bytes of the largest `numeric` without its point: 147,455 digits.
const MOST_UNSCALED: usize = 61_230;
/// Zeros that are written out; of more their number is written, since a few bytes can ask for any number of them.
const MOST_ZEROS: i64 = 100;

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
    let zeros = all.len() - all.trim_start_matches('0').len();
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent) - i64::try_from(zeros).ok()?;
    let all = all.trim_matches('0');
    if all.is_empty() {
        return Some("0".to_owned());
    }
    if point < -MOST_ZEROS || point > i64::try_from(all.len()).ok()? + MOST_ZEROS {
        return Some(format!("{sign}.{all}e{point}"));
    }
    let (mut whole, mut fraction) = (String::new(), String::new());
    if point <= 0 {
        fraction = "0".repeat(usize::try_from(-point).ok()?) + all;
    } else {
        let point = usize::try_from(point).ok()?;
        whole = all.chars().take(point).collect();
        whole.push_str(&"0".repeat(point.saturating_sub(all.len())));
        fraction.extend(all.chars().skip(point));
    }
    Some(format!("{sign}{whole}.{fraction}"))
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
                Value::String(text) => scaled(&base64(text)?, scale)?,
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
            normal(&scaled(&base64(text).filter(|bytes| !bytes.is_empty())?, scale)?)
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

/// PostgreSQL's text of a `money`, in units of the currency: separators and currency are a matter of the locale. `kept`: so many digits behind
/// the point are written where decimals are exact, and what is more is rounded.
pub(super) fn money(text: &str, decimals: Decimals, kept: Option<usize>) -> Option<String> {
    let sign = if text.contains('-') || text.contains('(') { "-" } else { "" };
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let fraction = text.trim_end_matches(|c: char| !c.is_ascii_digit()).rsplit(['.', ',']).next()?;
    let separated = text.contains(['.', ',']);
    let scale = if separated && fraction.chars().all(|c| c.is_ascii_digit()) && fraction.len() < 3 {
        fraction.len()
    } else {
        0
    };
    let (whole, fraction) = digits.split_at(digits.len().checked_sub(scale)?);
    let exact = matches!(decimals, Decimals::Precise | Decimals::Numeric);
    match kept.filter(|kept| exact && *kept < scale) {
        None => normal(&format!("{sign}{whole}.{fraction}")),
        Some(kept) => {
            // Half of a unit is rounded away from zero.
            let number: u128 = format!("{whole}{}", &fraction[..kept]).parse().ok()?;
            let rounded = number + u128::from(fraction.as_bytes()[kept] >= b'5');
            normal(&format!("{sign}{rounded}e-{kept}"))
        }
    }
}

/// A `money` in an event, of which so many digits behind the point are written where decimals are exact.
pub(super) fn money_of_value(value: &Value, decimals: Decimals, digits: usize) -> Option<String> {
    match (decimals, value) {
        (Decimals::Precise, Value::String(text)) => normal(&scaled(&base64(text)?, digits)?),
        (Decimals::Text, Value::String(text)) => normal(text),
        (_, Value::Number(number)) => normal(&number.to_string()),
        _ => None,
    }
}

/// A big-endian two's complement integer with its decimal point set; none for what no `numeric` is.
fn scaled(bytes: &[u8], scale: usize) -> Option<String> {
    if bytes.len() > MOST_UNSCALED || scale > MOST_SCALE {
        return None;
    }
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
    const NINE_DIGITS: u64 = 1_000_000_000;
    let mut limbs = vec![0u64]; // nine digits each, least significant first
    for part in magnitude.chunks(4) {
        let mut carry = part.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        for limb in &mut limbs {
            carry += *limb << (8 * part.len());
            *limb = carry % NINE_DIGITS;
            carry /= NINE_DIGITS;
        }
        while carry > 0 {
            limbs.push(carry % NINE_DIGITS);
            carry /= NINE_DIGITS;
        }
    }
    let digits: String = limbs.iter().rev().map(|limb| format!("{limb:09}")).collect();
    let mut text = format!("{:0>width$}", digits.trim_start_matches('0'), width = scale + 1);
    if scale > 0 {
        text.insert(text.len() - scale, '.');
    }
    Some(if negative { format!("-{text}") } else { text })
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
        assert_eq!(normal("0.00").as_deref(), Some("0"));
        assert_eq!(normal("100").as_deref(), Some("100."));
        assert_eq!((normal(""), normal("."), normal("1e100001")), (None, None, None));
        let money = |text: &str, kept: usize| money(text, Decimals::Precise, Some(kept)).unwrap();
        assert_eq!([money("$1,234.50", 2), money("-12,34 €", 4), money("($0.07)", 2)], ["1234.5", "-12.34", "-.07"]);
        assert_eq!(
            [money("$12.50", 0), money("-$12.49", 0), money("$0.07", 1), money("-$0.04", 1)],
            ["13.", "-12.", ".1", "0"]
        );
    }

    /// A few bytes ask for any number of zeros.
    #[test]
    fn no_number_takes_more_than_it_was_told_with() {
        for text in ["1e100000", "-12.5e-100000", "0.1e99999", "1e102", "1e-103"] {
            let form = normal(text).unwrap();
            assert!(form.len() < 20, "{form}");
            // However it is written, it is the same number.
            let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
            let (digits, exponent) = rest.split_once('e').unwrap();
            let exponent: i32 = exponent.parse().unwrap();
            if (-200..200).contains(&exponent) {
                let zeros = "0".repeat(exponent.unsigned_abs() as usize);
                let long =
                    if exponent < 0 { format!("{sign}0.{}{digits}", &zeros[1..]) } else { format!("{digits}{zeros}") };
                assert_eq!(normal(&long).as_deref(), Some(&*form));
            }
        }
        assert_eq!(normal("1e100").map(|form| form.len()), Some(102));
        assert_ne!(normal("1e200"), normal("1e201"));
        let of = |scale: serde_json::Value, value: &str| {
            of_value(-1, &serde_json::json!({ "scale": scale, "value": value }), Decimals::Precise)
        };
        assert_eq!(of(16_383.into(), "AQ==").as_deref(), Some(".1e-16382"));
        for scale in [16_384, 1 << 40, u64::MAX] {
            assert_eq!(of(scale.into(), "AQ=="), None, "scale {scale}");
        }
        // The largest number there is, and one byte more.
        let largest = "A".repeat(MOST_UNSCALED * 4 / 3);
        assert_eq!(of(0.into(), &largest).as_deref(), Some("0"));
        assert_eq!(of(0.into(), &format!("{largest}AAAA")), None);
    }

    #[test]
    fn numbers_of_any_size_are_read_digit_by_digit() {
        let of = |bytes: &[u8], scale| scaled(bytes, scale).unwrap();
        assert_eq!(of(&[], 0), "0");
        assert_eq!((of(&[0x7f], 0), of(&[0x80], 0), of(&[0xff], 2)), ("127".into(), "-128".into(), "-0.01".into()));
        for number in [0, 1, -1, 999_999_999, 1_000_000_000, i128::MAX, i128::MIN, -1_000_000_000_000_000_000_000_i128]
        {
            let bytes = number.to_be_bytes();
            assert_eq!(of(&bytes, 0), number.to_string());
            for cut in 1..16 {
                let short = number >> (8 * cut);
                assert_eq!(of(&bytes[..16 - cut], 0), short.to_string(), "{number} in {} bytes", 16 - cut);
            }
        }
        assert_eq!(of(&1_000_000_005_u64.to_be_bytes(), 9), "1.000000005");
        assert_eq!(of(&5_u8.to_be_bytes(), 3), "0.005");
    }
}
