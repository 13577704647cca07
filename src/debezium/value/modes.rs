//! The settings of a connector that decide how a value is written.

use crate::connect::ConnectorConfig;

/// `decimal.handling.mode`, and how the converter writes decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decimals {
    /// Base64 of the unscaled number.
    #[default]
    Precise,
    /// The converter's `decimal.format=NUMERIC`: a JSON number.
    Numeric,
    /// A floating-point number.
    Double,
    /// Text.
    Text,
}

/// `binary.handling.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Binary {
    /// Bytes, which the JSON converter writes as base64.
    #[default]
    Base64,
    /// Base64 with `-` and `_`.
    UrlSafe,
    /// Hexadecimal digits.
    Hex,
}

/// `time.precision.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    /// By the column's precision.
    #[default]
    Adaptive,
    /// As `adaptive`, times of day always in microseconds.
    AdaptiveMicroseconds,
    /// Kafka Connect's own types: milliseconds.
    Connect,
    /// Always microseconds.
    Microseconds,
    /// Always nanoseconds.
    Nanoseconds,
    /// ISO 8601.
    IsoString,
}

/// `interval.handling.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Intervals {
    /// Microseconds, a month being 30.4375 days.
    #[default]
    Numeric,
    /// ISO 8601.
    Text,
}

/// How values are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modes {
    /// Numeric and money.
    pub decimals: Decimals,
    /// `bytea`.
    pub binary: Binary,
    /// Dates, times and timestamps.
    pub times: Times,
    /// Intervals.
    pub intervals: Intervals,
    /// Digits behind the point of `money` (`money.fraction.digits`); `None`: that is no number.
    pub money: Option<usize>,
    /// Text that stands for a large value that an update left as it was.
    pub placeholder: String,
    /// The converter writes a column's default where the row has NULL (`replace.null.with.default`, which is Kafka Connect's default).
    pub fills_nulls: bool,
    /// The configuration is not known: any form of a value is accepted.
    pub guessed: bool,
}

/// Debezium's default for `money.fraction.digits`.
const MONEY: usize = 2;
/// Debezium's default for `unavailable.value.placeholder`.
const PLACEHOLDER: &str = "__debezium_unavailable_value";

impl Default for Modes {
    fn default() -> Self {
        Self {
            decimals: Decimals::default(),
            binary: Binary::default(),
            times: Times::default(),
            intervals: Intervals::default(),
            money: Some(MONEY),
            placeholder: PLACEHOLDER.to_owned(),
            fills_nulls: true,
            guessed: false,
        }
    }
}

impl Modes {
    /// Reads a configuration. The second part names settings whose value is not understood.
    pub fn of(config: &ConnectorConfig) -> (Self, Vec<String>) {
        let mut strange = Vec::new();
        let mut modes = Self::default();
        let mut word = |key: &str, known: &mut dyn FnMut(&str) -> bool| {
            if let Some(value) = config.get(key)
                && !known(value.to_ascii_lowercase().as_str())
            {
                strange.push(format!("{key}={value}"));
            }
        };
        word("decimal.handling.mode", &mut |value| {
            modes.decimals = match value {
                "precise" => Decimals::Precise,
                "double" => Decimals::Double,
                "string" => Decimals::Text,
                _ => return false,
            };
            true
        });
        word("value.converter.decimal.format", &mut |value| {
            if value == "numeric" && modes.decimals == Decimals::Precise {
                modes.decimals = Decimals::Numeric;
            }
            matches!(value, "numeric" | "base64")
        });
        word("binary.handling.mode", &mut |value| {
            modes.binary = match value {
                "bytes" | "base64" => Binary::Base64,
                "base64-url-safe" => Binary::UrlSafe,
                "hex" => Binary::Hex,
                _ => return false,
            };
            true
        });
        word("time.precision.mode", &mut |value| {
            modes.times = match value {
                "adaptive" => Times::Adaptive,
                "adaptive_time_microseconds" => Times::AdaptiveMicroseconds,
                "connect" => Times::Connect,
                "microseconds" => Times::Microseconds,
                "nanoseconds" => Times::Nanoseconds,
                "isostring" => Times::IsoString,
                _ => return false,
            };
            true
        });
        word("interval.handling.mode", &mut |value| {
            modes.intervals = match value {
                "numeric" => Intervals::Numeric,
                "string" => Intervals::Text,
                _ => return false,
            };
            true
        });
        let keeps_nulls = config.get("value.converter.replace.null.with.default").is_some_and(|value| value == "false");
        modes.fills_nulls = !(keeps_nulls && config.contains_key("value.converter"));
        if let Some(digits) = config.get("money.fraction.digits") {
            modes.money = digits.trim().parse().ok();
        }
        if let Some(placeholder) = config.get("unavailable.value.placeholder") {
            modes.placeholder.clone_from(placeholder);
        }
        (modes, strange)
    }

    /// The settings of a connector whose configuration nobody can read.
    pub fn unknown() -> Self {
        Self { guessed: true, ..Self::default() }
    }

    /// The forms that a value may have.
    pub(super) fn variants(&self) -> Vec<Self> {
        if !self.guessed {
            return vec![self.clone()];
        }
        let mut all = vec![self.clone()];
        let with = |change: &dyn Fn(&mut Self)| {
            let mut modes = self.clone();
            change(&mut modes);
            modes
        };
        for decimals in [Decimals::Numeric, Decimals::Double, Decimals::Text] {
            all.push(with(&|modes| modes.decimals = decimals));
        }
        for binary in [Binary::UrlSafe, Binary::Hex] {
            all.push(with(&|modes| modes.binary = binary));
        }
        for times in
            [Times::AdaptiveMicroseconds, Times::Connect, Times::Microseconds, Times::Nanoseconds, Times::IsoString]
        {
            all.push(with(&|modes| modes.times = times));
        }
        all.push(with(&|modes| modes.intervals = Intervals::Text));
        for digits in [0, 1, 3, 4] {
            all.push(with(&|modes| modes.money = Some(digits)));
        }
        all
    }
}
