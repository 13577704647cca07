//! The verb `pause`.

super::fault::action_verb! {
    /// Freezes a service (SIGSTOP, `docker pause`): it stops answering, its connections stay open.
    Pause, "pause", "pause: { service: kafka, for: 10s }"
}
