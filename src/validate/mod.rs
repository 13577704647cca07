//! Documents against their JSON schema, with messages for people.

mod follow;
mod message;
mod schema;
mod unit;

pub use schema::{Findings, SchemaCheck};
