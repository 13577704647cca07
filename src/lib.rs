//! kscen

pub mod kafka;
pub mod ledger;
pub mod load;
pub mod record;
