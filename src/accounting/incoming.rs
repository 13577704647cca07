//! The identity of a message as it is read.

use super::{IDENTITY_HEADER, Identity, IdentityError};
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
}
