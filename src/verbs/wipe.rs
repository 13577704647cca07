//! The verb `wipe`.

super::fault::action_verb! {
    /// Kills a service, erases its data and starts it fresh: a cold start.
    Wipe, "wipe", "wipe: { service: kafka }"
}
