//! Text and locations: the only place that names a YAML crate.
//!
//! A file is read twice. `saphyr-parser` goes first and gives positions, limits and every problem of form; `yaml_serde` then gives
//! the values. Where the two would read a scalar differently the file is refused, so a verdict never hangs on a reader's taste.

mod agree;
mod index;
mod located;
mod parse;
mod read;
mod scan;
mod shelf;
mod syntax;

pub use located::Located;
pub use parse::parse;
pub use read::{read, read_project, read_unshown};
pub use shelf::Shelf;

/// The longest accepted file. Bulk data belongs in files that a scenario names.
pub const MAX_BYTES: usize = 512 * 1024;
/// The deepest accepted nesting.
pub const MAX_DEPTH: usize = 64;
/// The most values a file may hold, each use of an alias counted in full.
pub const MAX_VALUES: usize = 20_000;
/// Problems of form that are reported one by one; what is beyond is only counted.
const MAX_PROBLEMS: usize = 100;

#[cfg(test)]
mod tests;
