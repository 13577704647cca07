//! The identity of a message as it is read.

use super::{IDENTITY_HEADER, Identity, IdentityError, around};
use crate::kafka::Incoming;

impl Identity {
    /// The identity in the payload or, where there is none, in a header. The flag tells whether the
    /// rest of the message matches its checksum.
    pub fn of(message: &Incoming<'_>) -> Result<(Self, bool), IdentityError> {
        match message.payload.map(Self::find) {
            None | Some(Err(IdentityError::Absent)) => {}
            Some(found) => return found,
        }
        let headers = message.headers();
        let value = headers.iter().find(|(name, _)| name.to_bytes() == IDENTITY_HEADER.as_bytes());
        let Some((_, Some(value))) = value else {
            return Err(IdentityError::Absent);
        };
        let identity = Self::decode(value)?;
        let intact = crc32fast::hash(message.payload.unwrap_or_default()) == identity.body_crc;
        Ok((identity, intact))
    }

    /// Whether key and headers are others than the identity says. That they are others than were sent can be said only in the very topic
    /// to which the sender wrote: what writes to another one may give its messages other keys.
    pub fn is_around_another(&self, message: &Incoming<'_>) -> bool {
        if self.around == 0 {
            return false;
        }
        let headers = message.headers();
        let found = around(message.key, headers.iter().map(|(name, value)| (name.to_bytes(), *value)));
        found != self.around
    }
}
