//! The verb `resume`.

super::fault::action_verb! {
    /// Lets a paused service go on.
    Resume, "resume", "resume: { service: kafka }"
}
