//! Text with positions: what was read, where each value stands in it, and what is wrong there.

mod credential;
mod diagnostic;
mod location;
mod origin;
mod redact;
mod short;
mod source;
mod source_text;
mod view;

pub use credential::{credential_marks, is_credential};
pub use diagnostic::{
    Place, Problem, covered, did_you_mean, for_terminal, harmless, harmless_json, redacted, render, told, withheld,
};
pub use location::Location;
pub use origin::{Origin, escape};
pub(crate) use redact::HIDDEN;
pub use redact::Redactor;
pub(crate) use short::{CUT, one_line, short};
pub use source::{Located, MAX_DEPTH, MAX_VALUES, Shelf, parse, read, read_project, read_unshown};
pub use source_text::{SourceText, Span};
