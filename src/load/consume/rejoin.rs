//! A static member that comes back while its group still lists its former life.

use super::member::ReaderMember;
use super::settings::{cooperates, settings};
use super::{CommitMode, ConsumeSpec, ReadFrom};
use crate::kafka::{BatchConsumer, ClientState, StartAt};
use crate::load::LoadError;
use crate::load::afar::MemberEvent;
use std::time::Duration;

/// Kafka's name of that refusal, which only the protocol of Kafka 4 knows: the old one lets the new life take the place at once.
const UNRELEASED: &str = "UNRELEASED_INSTANCE_ID";
/// Between two tries: about as soon as an application is started again that ended at once.
const AGAIN: Duration = Duration::from_secs(1);

/// A client for the member of this number.
pub(super) fn client(spec: &ConsumeSpec, number: usize) -> Result<BatchConsumer, LoadError> {
    let (config, effective) = settings(spec, number)?.build()?;
    let start_at = if spec.from == ReadFrom::End { StartAt::End } else { StartAt::Start };
    let commits = matches!(spec.commit, CommitMode::After | CommitMode::Every(_));
    let state = ClientState::new(format!("{}-{number}", spec.name), spec.logs.clone()).for_group(start_at, commits);
    Ok(BatchConsumer::new(&config, state.cooperating(cooperates(spec, &effective)))?)
}

impl ReaderMember {
    /// Whether the group refused the member because its former life, which ended without a word, still has its name there: until
    /// that one's session is over, and no error of the reader.
    pub(super) fn is_unreleased(&self) -> bool {
        self.consumer.fatal_error().as_deref() == Some(UNRELEASED)
    }

    /// Asks again with a client of its own, as whoever starts a crashed application again does, unless another order comes.
    ///
    /// # Errors
    /// A client cannot be made.
    pub(super) fn rejoin(&mut self) -> Result<(), LoadError> {
        self.error(UNRELEASED);
        self.shared.tell(self.seat(), MemberEvent::Rejoins);
        self.orders.await_change(AGAIN);
        let fresh = client(&self.shared.spec, self.number)?;
        fresh.subscribe(&self.shared.spec.topic)?;
        // The group does not know the one that it refused.
        std::mem::replace(&mut self.consumer, fresh).abandon();
        Ok(())
    }
}
