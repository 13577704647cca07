//! Who has asked for what over the page, as the audit log shows it.

/// What a response of the page is about. It goes with the response to where every answer passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedBy {
    /// The name of the token that is signed in.
    pub who: Option<String>,
    /// The job that was asked for, or cancelled.
    pub job: Option<String>,
}
