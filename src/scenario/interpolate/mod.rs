//! `${…}` in scalars, resolved after YAML is parsed: keys are never touched, structure never comes out of a text.

mod budget;
mod resolve;
mod schema;
mod template;

pub use budget::{Budget, MOST_OF_ALL, size};
pub use resolve::{malformed, references, resolve};
pub use schema::AdmitReferences;
pub use template::{Reference, parse};
