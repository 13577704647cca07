//! Evidence: whether what was seen is all there is.
//!
//! Everything that a check looks at goes through here, be it a count of messages, a figure, or the state of a group:
//! a bound that is already broken fails whatever may still come; a bound that holds passes only where nothing that
//! could break it is missing; else the answer is *unknown*, with what is missing. Something of which there was nothing
//! to see is [`Observed::Nothing`], never 0.

use super::check::Observed;
use super::unit::Quantity;

/// Whether what was seen is all there is, and what is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    missing: Vec<String>,
}

impl Evidence {
    /// Nothing more can come.
    pub(crate) fn closed() -> Self {
        Self::default()
    }

    /// Something is missing, in words that complete "unknown: …".
    pub(crate) fn open(missing: impl Into<String>) -> Self {
        Self { missing: vec![missing.into()] }
    }

    /// One more thing is missing; the same thing is said once.
    pub(crate) fn lacks(&mut self, missing: impl Into<String>) {
        let missing = missing.into();
        if !self.missing.contains(&missing) {
            self.missing.push(missing);
        }
    }

    /// Whether nothing is missing.
    pub(crate) fn is_closed(&self) -> bool {
        self.missing.is_empty()
    }

    /// A quantity that more evidence can only raise: a count of what was found, a time that may not be over.
    pub(crate) fn rising(self, quantity: Quantity) -> Observed {
        if self.is_closed() {
            Observed::Number(quantity)
        } else {
            Observed::AtLeast { quantity, missing: self.missing }
        }
    }

    /// Something that more evidence can change in any way: a state, a percentile, a rate.
    pub(crate) fn settled(self, observed: Observed) -> Observed {
        if self.is_closed() { observed } else { Observed::Unknown { reason: self.missing.join("; ") } }
    }
}

impl Observed {
    /// There was nothing to observe.
    pub(crate) fn nothing(reason: impl Into<String>) -> Self {
        Self::Nothing { reason: reason.into() }
    }

    /// The evidence is missing.
    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown { reason: reason.into() }
    }

    /// The number that was seen, whether or not it could still grow.
    pub(crate) fn quantity(&self) -> Option<Quantity> {
        match self {
            Self::Number(quantity) | Self::AtLeast { quantity, .. } => Some(*quantity),
            _ => None,
        }
    }

    /// The value alone, for tables.
    pub(crate) fn brief(&self) -> String {
        match self {
            Self::AtLeast { quantity, .. } => format!("≥ {quantity}"),
            other => other.to_string(),
        }
    }

    /// Whether more could still arrive.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::AtLeast { .. } | Self::Unknown { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_evidence_gives_no_settled_value() {
        let three = Quantity::count(3);
        assert_eq!(Evidence::closed().rising(three), Observed::Number(three));
        assert_eq!(Evidence::closed().settled(Observed::Flag(true)), Observed::Flag(true));
        let mut open = Evidence::open("`a` did not run");
        open.lacks("`b` was not drained");
        open.lacks("`a` did not run");
        let missing = vec!["`a` did not run".to_owned(), "`b` was not drained".to_owned()];
        assert_eq!(open.clone().rising(three), Observed::AtLeast { quantity: three, missing });
        assert_eq!(open.settled(Observed::Flag(true)), Observed::unknown("`a` did not run; `b` was not drained"));
    }
}
