//! The verb `start`.

super::fault::action_verb! {
    /// Starts a stopped or killed service on its data, or members of a background reader again.
    Start, "start", "start: { service: kafka }"
}
