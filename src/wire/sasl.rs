//! Showing the broker who asks.

use super::connection::Connection;
use super::frame::text;
use super::scram::{Scram, confirm};
use super::security::Sasl;
use super::wire_error::WireError;
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use std::time::Duration;

/// Authenticates; the time after which the broker wants that again, less a tenth, where it does.
///
/// # Errors
/// [`WireError::Authentication`], or whatever a request can end in.
pub(super) async fn authenticate(connection: &mut Connection, user: &Sasl) -> Result<Option<Duration>, WireError> {
    let address = connection.address().clone();
    let refused = |reason: String| WireError::Authentication {
        address: address.clone(),
        mechanism: user.mechanism.name(),
        reason,
    };
    let handshake = SaslHandshakeRequest::default().with_mechanism(text(user.mechanism.name()));
    let version = connection.version::<SaslHandshakeRequest>()?;
    let answer = connection.exchange(&handshake, version).await?;
    if answer.error_code == ResponseError::IllegalSaslState.code() {
        return Err(refused("it asks for no user there".to_owned()));
    }
    if answer.error_code != 0 {
        let offered: Vec<&str> = answer.mechanisms.iter().map(|name| &**name).collect();
        return Err(refused(format!("it offers {}", offered.join(", "))));
    }
    let mut converse = Conversation { connection, lifetime: 0 };
    let Some(digest) = user.mechanism.digest() else {
        let token = format!("\0{}\0{}", user.user, user.password);
        converse.say(token.into(), &refused).await?;
        return Ok(converse.lifetime());
    };
    let (scram, first) = Scram::begin(digest, &user.user, &user.password).map_err(&refused)?;
    let challenge = utf8(converse.say(first.into(), &refused).await?).map_err(&refused)?;
    // Thousands of rounds of a hash: not on a thread that others wait for.
    let proved = tokio::task::spawn_blocking(move || scram.prove(&challenge)).await;
    let (last, signature) = proved.map_err(|error| refused(error.to_string()))?.map_err(&refused)?;
    let verdict = utf8(converse.say(last.into(), &refused).await?).map_err(&refused)?;
    confirm(&verdict, &signature).map_err(&refused)?;
    Ok(converse.lifetime())
}

fn utf8(bytes: Bytes) -> Result<String, String> {
    String::from_utf8(bytes.into()).map_err(|_| "its message is not text".to_owned())
}

struct Conversation<'a> {
    connection: &'a mut Connection,
    /// In ms; 0 stands forever.
    lifetime: i64,
}

impl Conversation<'_> {
    async fn say(
        &mut self,
        message: Bytes,
        refused: &(impl Fn(String) -> WireError + Sync),
    ) -> Result<Bytes, WireError> {
        let request = SaslAuthenticateRequest::default().with_auth_bytes(message);
        let version = self.connection.version::<SaslAuthenticateRequest>()?;
        let answer = self.connection.exchange(&request, version).await?;
        if answer.error_code != 0 {
            let words = answer.error_message.filter(|words| !words.is_empty());
            return Err(refused(
                words.map_or_else(|| format!("error {}", answer.error_code), |words| words.to_string()),
            ));
        }
        self.lifetime = answer.session_lifetime_ms;
        Ok(answer.auth_bytes)
    }

    fn lifetime(&self) -> Option<Duration> {
        let lifetime = u64::try_from(self.lifetime).ok().filter(|lifetime| *lifetime > 0)?;
        Some(Duration::from_millis(lifetime - lifetime / 10))
    }
}
