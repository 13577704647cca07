//! `${…}` in scalars, resolved after YAML is parsed: keys are never touched, structure never comes out of a text.

mod resolve;
mod schema;
mod template;

pub use resolve::{malformed, references, resolve};
pub use schema::AdmitReferences;
pub use template::{Part, Reference, Template, TemplateError, TemplateErrorKind, parse};
