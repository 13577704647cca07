//! What all rooms stand on: small things that each needs in one way only.

mod causes;
mod folder;
pub mod input;
pub mod json;
pub mod json_path;
mod listed;
mod lock;
pub mod marks;
pub mod pairs;
mod plural;
mod preexec;
pub mod private;
mod program;
pub mod scratch;
pub mod trust;

pub(crate) use causes::{Cause, cause, causes, innermost};
pub(crate) use folder::folder_of;
pub(crate) use listed::some_of;
pub(crate) use lock::{lock, unpoisoned};
pub(crate) use plural::plural;
pub(crate) use preexec::{adopt_orphans, survive_file_limits, tie_to_parent};
pub(crate) use program::{bare, itself, program};
