//! librdkafka's mock cluster: for the program's own tests of everything around a run.

mod cluster;
mod kind;

pub use cluster::MockStack;
pub use kind::MockConfig;
