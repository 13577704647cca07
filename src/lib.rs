//! kscen runs declarative scenarios against a real Kafka and accounts for every message.
//!
//! The whole program is one sentence, and the modules say it:
//!
//! ```text
//! text → Located → Findings → Plan → Event* → Record → Verdict → RunView → bytes
//! text/   validate/   plan/  execute/  record/   judge/    report/
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
pub(crate) mod expose;
pub(crate) mod faults;
pub(crate) mod ground;
pub(crate) mod judge;
pub(crate) mod kafka;
pub(crate) mod load;
pub(crate) mod migration;
pub(crate) mod moment;
pub(crate) mod plan;
pub(crate) mod project;
pub(crate) mod record;
pub(crate) mod reference;
pub(crate) mod report;
pub(crate) mod scenario;
pub(crate) mod schemas;
pub(crate) mod selfcheck;
pub(crate) mod serve;
pub(crate) mod text;
pub(crate) mod validate;
pub(crate) mod verb;
pub(crate) mod verbs;
pub(crate) mod wire;
pub(crate) mod worker;

/// What the tests on real systems (`tests/`) and the benches use of the library. No stable interface: everything else is private to
/// the crate, so that the compiler reports what nothing uses.
pub mod testing {
    pub mod fuzz;

    pub use crate::cli::understands;
    pub use crate::execute::machine;
    pub use crate::verbs::{LANGUAGE, REGISTRY};

    /// Of the room `accounting`.
    pub mod accounting {
        pub use crate::accounting::{Class, Identity, Ledger, ReaderAccount, RunIdentity, SenderAccount, Sighting};
    }
    /// Of the room `backup`.
    pub mod backup {
        pub use crate::backup::{
            Archive, BackupEvent, BackupListener, BackupOptions, FolderStore, Level, OnGap, Store, backup, verify,
        };

        /// Record batches.
        pub mod batch {
            pub use crate::backup::batch::{BatchKind, BatchRecord, Batches, Builder, Codec, Compressor};
        }
        /// Manifests.
        pub mod manifest {
            pub use crate::backup::manifest::{BackupState, Batching, GapReason, Manifest};
        }
        /// Restoring.
        pub mod restore {
            pub use crate::backup::restore::{
                Offsets, Renamed, RestoreEvent, RestoreListener, RestoreRequest, Restored, RestoredGroups, kept,
                requests, restore,
            };
        }
        /// What was restored.
        pub mod target {
            pub use crate::backup::target::{Verified, verify};
        }
        /// Moments in archives.
        pub mod when {
            pub use crate::backup::when::first_since;
        }
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
        pub use crate::environment::{
            Action, Capability, Controllers, Direction, Endpoints, Environment, EnvironmentError, Grip, Lifecycle,
            LogLine, LogQuery, Needs, NetworkFault, NetworkFaultKind, Peers, ServiceId, Site,
        };

        /// Containers.
        pub mod docker {
            pub use crate::environment::docker::{DockerConfig, DockerStack, HealRecipe, heal_from};
        }
        /// Child processes.
        pub mod local {
            pub use crate::environment::local::{Attached, Jvm, LocalConfig, LocalStack, Timeouts, supervise};
        }
    }
    /// Of the room `kafka`.
    pub mod kafka {
        pub use crate::kafka::{Admin, LogSink};
    }
    /// Of the room `migration`.
    pub mod migration {
        pub use crate::migration::{
            MigrateEvent, MigrateListener, MigrateOptions, MigrateUntil, Migrated, MigrationOutcome, MigrationStage,
            MovedTopic, migrate,
        };

        /// Queues that are emptied.
        pub mod drain {
            pub use crate::migration::drain::{
                DrainEvent, DrainListener, DrainOptions, ParkOptions, Parked, drain, park,
            };
        }
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
    /// Of the room `report`.
    pub mod report {
        pub use crate::report::{Collection, load};
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
        pub use crate::wire::{Operation, WireCluster, WireError};

        /// Rights.
        pub mod acls {
            pub use crate::wire::acls::{TopicAcl, create, of_topic};
        }
        /// The cluster.
        pub mod brokers {
            pub use crate::wire::brokers::describe;
        }
        /// Commits.
        pub mod commit {
            pub use crate::wire::commit::offsets;
        }
        /// Committed offsets.
        pub mod committed {
            pub use crate::wire::committed::of;
        }
        /// Settings.
        pub mod configs {
            pub use crate::wire::configs::{SettingSource, of_broker, of_topic};
        }
        /// New topics.
        pub mod creation {
            pub use crate::wire::creation::configure;
        }
        /// Deleted records.
        pub mod deletion {
            pub use crate::wire::deletion::before;
        }
        /// Groups.
        pub mod groups {
            pub use crate::wire::groups::{GroupKind, coordinator, describe, list};
        }
        /// Ends of partitions.
        pub mod offsets {
            pub use crate::wire::offsets::{At, IsolationLevel, list};
        }
        /// Producers of a partition.
        pub mod producers {
            pub use crate::wire::producers::describe;
        }
        /// Moves of replicas.
        pub mod reassignments {
            pub use crate::wire::reassignments::{alter, list};
        }
        /// Who leads and who follows.
        pub mod roles {
            pub use crate::wire::roles::{follower, leader, quorum_leader};
        }
        /// Topics.
        pub mod topics {
            pub use crate::wire::topics::{describe, list};
        }
    }
}
