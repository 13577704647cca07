//! kscen runs declarative scenarios against a real Kafka and accounts for every message.
//!
//! The whole program is one sentence, and the modules say it:
//!
//! ```text
//! text → Source → Located → Checked → Plan → Event* → Record → Verdict → View → bytes
//!        source/            validate/  plan/  execute/  record/   judge/    report/
//! ```

pub mod cli;
pub mod compare;
pub mod connect;
pub mod database;
pub mod debezium;
pub mod diagnostic;
pub mod environment;
pub mod execute;
pub mod judge;
pub mod kafka;
pub mod ledger;
pub mod load;
pub mod plan;
pub mod project;
pub mod record;
pub mod reference;
pub mod report;
pub mod scenario;
pub mod schemas;
pub mod selfcheck;
pub mod source;
pub mod step;
pub mod validate;
