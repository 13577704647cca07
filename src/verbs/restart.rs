//! The verb `restart`.

super::fault::action_verb! {
    /// Stops a service in good order and starts it again.
    Restart, "restart", "restart: { service: kafka }"
}
