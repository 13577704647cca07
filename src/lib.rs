//! kscen runs declarative scenarios against a real Kafka and accounts for every message.
//!
//! The whole program is one sentence, and the modules say it:
//!
//! ```text
//! text → Source → Located → Checked → Plan → Event* → Record → Verdict → View → bytes
//!        source/            validate/  plan/  execute/  record/   judge/    report/
//! ```

pub mod connect;
pub mod database;
pub mod debezium;
pub mod environment;
