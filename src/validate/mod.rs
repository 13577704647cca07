//! Documents against their JSON schema, with messages for people.

mod follow;
mod language;
mod message;
mod pointers;
mod schema;
mod unit;

pub use language::Language;
pub use schema::{Findings, SchemaCheck};
