//! Tests against real services, in one binary.

mod docker;
