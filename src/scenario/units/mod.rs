//! Quantities as scenarios write them: a number with its unit, always.
//!
//! Each type parses from and prints its written form, and brings its JSON schema, whose pattern also admits a text that holds `${…}`
//! because the schema is checked before references are resolved.

mod bytes;
mod count;
mod decimal;
mod length;
mod quantity;
mod rate;
mod share;

pub use bytes::Bytes;
pub use count::Count;
pub use length::Length;
pub use quantity::{UnitError, UnitValue};
pub use rate::Rate;
pub use share::Share;
