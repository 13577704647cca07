//! kscen runs declarative scenarios against a real Kafka and accounts for every message.
//!
//! The whole program is one sentence, and the modules say it:
//!
//! ```text
//! text → Located → Checked → Plan → Event* → Record → Verdict → View → bytes
//! text/   validate/  plan/  execute/  record/   judge/    report/
//! ```

pub(crate) mod accounting;
pub(crate) mod backup;
pub mod cli;
pub(crate) mod compare;
pub(crate) mod connect;
pub(crate) mod database;
pub(crate) mod debezium;
pub(crate) mod delivery;
pub(crate) mod environment;
pub(crate) mod execute;
pub(crate) mod faults;
pub(crate) mod ground;
pub(crate) mod judge;
pub(crate) mod kafka;
pub(crate) mod load;
pub(crate) mod moment;
pub(crate) mod plan;
pub(crate) mod project;
pub(crate) mod record;
pub(crate) mod reference;
pub(crate) mod report;
pub(crate) mod scenario;
pub(crate) mod schemas;
pub(crate) mod selfcheck;
pub(crate) mod text;
pub(crate) mod validate;
pub(crate) mod verb;
pub(crate) mod verbs;
pub(crate) mod wire;

/// What the tests on real systems (`tests/`) and the benches use of the library. No stable interface: everything else is private to
/// the crate, so that the compiler reports what nothing uses.
pub mod testing {
    pub mod fuzz;

    pub use crate::execute::machine;
    pub use crate::verbs::{LANGUAGE, REGISTRY};

    /// Of the room `accounting`.
    pub mod accounting {
        pub use crate::accounting::{Class, Identity, Ledger, ReaderAccount, RunIdentity, SenderAccount, Sighting};
    }
    /// Of the room `backup`.
    pub mod backup {
        pub use crate::backup::*;
    }
    /// Of the room `connect`.
    pub mod connect {
        pub use crate::connect::{ConnectClient, State};
    }
    /// Of the room `database`.
    pub mod database {
        pub use crate::database::Database;
    }
    /// Of the room `environment`.
    pub mod environment {
        pub use crate::environment::*;
    }
    /// Of the room `kafka`.
    pub mod kafka {
        pub use crate::kafka::{Admin, LogSink};
    }
    /// Of the room `plan`.
    pub mod plan {
        pub use crate::plan::{PlanOptions, plans};
    }
    /// Of the room `record`.
    pub mod record {
        pub use crate::record::latency::LatencySummary;
        pub use crate::record::{ProduceReport, Record};
    }
    /// Of the room `reference`.
    pub mod reference {
        pub use crate::reference::all;
    }
    /// Of the room `scenario`.
    pub mod scenario {
        pub use crate::scenario::Modifiers;
    }
    /// Of the room `schemas`.
    pub mod schemas {
        pub use crate::schemas::{all, text};
    }
    /// Of the room `text`.
    pub mod text {
        pub use crate::text::{harmless_json, parse, read, render};
    }
    /// Of the room `wire`.
    pub mod wire {
        pub use crate::wire::*;
    }
}
