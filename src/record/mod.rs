//! What a run measured.

pub mod latency;
pub mod series;
