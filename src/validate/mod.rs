//! Documents against their JSON schema, with messages for people.

mod message;
mod schema;

pub use schema::{Findings, SchemaCheck};
