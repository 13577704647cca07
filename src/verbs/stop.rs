//! The verb `stop`.

super::fault::action_verb! {
    /// Stops a service in good order (SIGTERM), or members of a background reader: they commit and leave their group.
    Stop, "stop", "stop: { step: reader, member: 0 }"
}
