//! The verb `pause`.

super::fault::action_verb! {
    /// Freezes a service (SIGSTOP, `docker pause`): it stops answering, its connections stay open. Members of a reader stop
    /// polling, as an application that hangs in its own work: they go on to send heartbeats, until they have not polled for
    /// `max.poll.interval.ms` and their group takes them out.
    Pause, "pause", "pause: { service: kafka, for: 10s }"
}
