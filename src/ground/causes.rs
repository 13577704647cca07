//! Errors and what caused them.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The error and its causes, outermost first. What an error says in its own words already is not repeated.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !message.is_empty() && !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

/// The error itself, or the first of its causes, that is of this type.
pub(crate) fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The cause that has no cause of its own.
pub(crate) fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost
}

/// The error behind another one, shared so that errors can be cloned. It reads as its innermost cause, whose words say what happened.
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    /// Of an error, which stays as it is to be matched on, or of words.
    pub(crate) fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// What [`Error::source`] gives.
    pub(crate) fn error(&self) -> &(dyn Error + 'static) {
        self.0.as_ref()
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(innermost(self.error()), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|layer| layer as &(dyn Error + 'static))
        }
    }

    #[test]
    fn causes_are_told_once() {
        let inner = Layer("connection refused", None);
        let middle = Layer("cannot connect: connection refused", Some(Box::new(inner)));
        let outer = Layer("no answer", Some(Box::new(middle)));
        assert_eq!(causes(&outer), "no answer: cannot connect: connection refused");
        assert_eq!(innermost(&outer).to_string(), "connection refused");
        assert_eq!(cause::<Layer>(&outer).map(|layer| layer.0), Some("no answer"));
        assert!(cause::<fmt::Error>(&outer).is_none());
    }
}
