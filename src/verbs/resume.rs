//! The verb `resume`.

super::fault::action_verb! {
    /// Lets a paused service, connector or member of a reader go on.
    Resume, "resume", "resume: { service: kafka }"
}
