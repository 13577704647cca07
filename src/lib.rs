//! kscen
pub mod diagnostic;
pub mod scenario;
pub mod source;
