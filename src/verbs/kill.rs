//! The verb `kill`.

super::fault::action_verb! {
    /// Ends a service at once (SIGKILL), or members of a background reader: they neither commit nor leave their group.
    Kill, "kill", "kill: { service: { leader_of: orders/0 } }"
}
