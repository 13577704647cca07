//! The verbs: one file each, one line each in the list below. Schema, decoding, `kscen steps`, the reference and
//! did-you-mean all follow from that line.

mod context;
mod entry;
mod error;
mod facts;
mod fault;
mod metrics;
mod outcome;
mod resolve;
mod target;

pub use context::CheckContext;
pub use entry::{AnyStep, DecodeError, Step, VerbEntry, verb};
pub use error::{ErrorKind, StepError};
pub use facts::{Facts, Scope, ScopeStep};
pub use outcome::StepOutcome;

use entry::entry;

macro_rules! verbs {
    ($($module:ident :: $step:ident,)*) => {
        $(pub mod $module;)*
        /// Every verb, in the order of the reference.
        pub const REGISTRY: &[VerbEntry] = &[$(entry::<$module::$step>(),)*];
    };
}

verbs! {
    topic::Topic,
    delete::Delete,
    produce::Produce,
    consume::Consume,
    sql::Sql,
    connector::Connector,
    wait::Wait,
    join::Join,
    expect::Expect,
    pause::Pause,
    resume::Resume,
    stop::Stop,
    start::Start,
    restart::Restart,
    kill::Kill,
    wipe::Wipe,
    network::Network,
    http::Http,
    run::Run,
    parallel::Parallel,
    include::Include,
    logs::Logs,
}
