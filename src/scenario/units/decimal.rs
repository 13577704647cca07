use super::UnitError;

/// A decimal number without sign or exponent, kept exact: `1.5` is 15 with one decimal place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal {
    digits: u64,
    places: u32,
}

impl Decimal {
    /// Cuts a number off the start of a text: `1.5ms` is 1.5 and `ms`.
    pub(super) fn cut(text: &str) -> Result<(Self, &str), UnitError> {
        if text.starts_with('-') {
            return Err(UnitError::Negative);
        }
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, rest) = text.split_at(end);
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return Err(UnitError::Malformed),
            Some(parts) => parts,
            None => (number, ""),
        };
        if whole.is_empty() || fraction.contains('.') {
            return Err(UnitError::Malformed);
        }
        let digits = format!("{whole}{fraction}");
        Ok((
            Self {
                digits: digits.parse().map_err(|_| UnitError::TooLarge)?,
                places: u32::try_from(fraction.len()).map_err(|_| UnitError::TooLarge)?,
            },
            rest,
        ))
    }

    /// The number times a factor, where that is whole.
    pub(super) fn times(self, factor: u64) -> Result<u64, UnitError> {
        let scale = 10u128.checked_pow(self.places).ok_or(UnitError::TooFine)?;
        let product = u128::from(self.digits) * u128::from(factor);
        if product % scale != 0 {
            return Err(UnitError::TooFine);
        }
        u64::try_from(product / scale).map_err(|_| UnitError::TooLarge)
    }

    /// The nearest floating-point number.
    pub(super) fn to_f64(self) -> f64 {
        self.shifted(0)
    }

    /// The number divided by 100, rounded once: 99.9 % is 0.999.
    pub(super) fn percent(self) -> f64 {
        self.shifted(2)
    }

    fn shifted(self, places: u32) -> f64 {
        // Both parts are exact up to 2^53 and 10^22, so the division rounds correctly for anything a person writes.
        let places = self.places.saturating_add(places);
        self.digits as f64 / 10f64.powi(places.try_into().unwrap_or(i32::MAX))
    }

    pub(super) fn is_whole(self) -> bool {
        self.places == 0
    }
}
