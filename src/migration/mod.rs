//! Topics that move: from one cluster into another, and queues that are emptied.
//!
//! Both are the code of the room `backup` with an archive between that nobody has to look after: it lies in a folder of the
//! migration's own, the staging folder, and is what makes a migration go on after a crash, and what its end is verified against.
//! This room is a library: it prints nothing, parses no arguments and knows no verbs; progress is told as events.
//!
//! | file | what is in it |
//! |---|---|
//! | `options.rs`, `event.rs`, `migration_error.rs`, `not_drained.rs` | what is asked for, what is told, why it ends early |
//! | `course.rs`, `rounds.rs`, `state.rs` | a migration from its first round to its end |
//! | `preflight.rs` | whether the target takes a topic, and whether groups are free |
//! | `late.rs` | what the source has got since it was taken for the last time |
//! | `given.rs` | what topics and groups were given in the end, and what of it is asked for again |
//! | `withheld.rs` | ACLs and settings that could not be given, and whether they could be by now |
//! | `standing.rs` | how far the source is taken, and what is still missing for the end |
//! | `staging.rs` | the folder |
//! | `drain/` | waiting until a group has read everything, and moving what it has not read |

mod course;
pub mod drain;
mod event;
mod given;
mod late;
mod migration_error;
mod not_drained;
mod options;
mod preflight;
mod rounds;
mod staging;
mod standing;
mod state;
mod withheld;

pub use course::{Migrated, MigrationOutcome, migrate};
pub use event::{MigrateEvent, MigrateListener, MigrationStage};
pub use migration_error::MigrationError;
pub use options::{MigrateOptions, MigrateUntil, MovedTopic};

use std::collections::BTreeMap;

/// Client properties.
type Properties = BTreeMap<String, String>;
