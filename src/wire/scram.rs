//! SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677): the messages, without a connection.

use openssl::base64::{decode_block, encode_block};
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::pkcs5::pbkdf2_hmac;
use openssl::pkey::PKey;
use openssl::sign::Signer;

/// A broker asks for 4,096 to 16,384 rounds; one that asks for more than this wants to keep the processor busy.
const MOST_ROUNDS: usize = 1_000_000;
/// The fewest that Kafka's own client accepts.
const FEWEST_ROUNDS: usize = 4096;

/// A conversation that has begun.
pub(super) struct Scram {
    digest: MessageDigest,
    password: String,
    first_bare: String,
    nonce: String,
}

impl Scram {
    /// Begins with a random nonce; the second value is the first message.
    pub(super) fn begin(digest: MessageDigest, user: &str, password: &str) -> Result<(Self, String), String> {
        let mut nonce = [0; 24];
        openssl::rand::rand_bytes(&mut nonce).map_err(|error| in_words(&error))?;
        Ok(Self::with_nonce(digest, user, password, encode_block(&nonce)))
    }

    fn with_nonce(digest: MessageDigest, user: &str, password: &str, nonce: String) -> (Self, String) {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let first_bare = format!("n={user},r={nonce}");
        let first = format!("n,,{first_bare}");
        (Self { digest, password: password.to_owned(), first_bare, nonce }, first)
    }

    /// Answers the server's first message: the last message, and the signature that the server has to give for it. Takes
    /// milliseconds of computing.
    ///
    /// # Errors
    /// A message that is not the server's, in words.
    pub(super) fn prove(&self, server_first: &str) -> Result<(String, Vec<u8>), String> {
        let field = |name: &str| {
            let found = server_first.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            found.ok_or_else(|| format!("the server's first message has no `{name}`"))
        };
        if let Ok(error) = field("e") {
            return Err(error.to_owned());
        }
        let (nonce, salt, rounds) = (field("r")?, field("s")?, field("i")?);
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the server's nonce does not go on from the client's".to_owned());
        }
        let salt = decode_block(salt).map_err(|_| "the server's salt is not base64".to_owned())?;
        let rounds: usize = rounds.parse().map_err(|_| "the server's count of rounds is not a number".to_owned())?;
        if !(FEWEST_ROUNDS..=MOST_ROUNDS).contains(&rounds) {
            return Err(format!("the server asks for {rounds} rounds; {FEWEST_ROUNDS} to {MOST_ROUNDS} are accepted"));
        }
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{server_first},{without_proof}", self.first_bare);
        let (proof, signature) = self.keys(&salt, rounds, signed.as_bytes()).map_err(|error| in_words(&error))?;
        Ok((format!("{without_proof},p={}", encode_block(&proof)), signature))
    }

    /// The client's proof and the server's signature.
    fn keys(&self, salt: &[u8], rounds: usize, signed: &[u8]) -> Result<(Vec<u8>, Vec<u8>), ErrorStack> {
        let mut salted = vec![0; self.digest.size()];
        pbkdf2_hmac(self.password.as_bytes(), salt, rounds, self.digest, &mut salted)?;
        let client_key = self.hmac(&salted, b"Client Key")?;
        let client_signature = self.hmac(&hash(self.digest, &client_key)?, signed)?;
        let proof = client_key.iter().zip(client_signature).map(|(key, signature)| key ^ signature).collect();
        let signature = self.hmac(&self.hmac(&salted, b"Server Key")?, signed)?;
        Ok((proof, signature))
    }

    fn hmac(&self, key: &[u8], data: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let key = PKey::hmac(key)?;
        Signer::new(self.digest, &key)?.sign_oneshot_to_vec(data)
    }
}

/// Whether the server's last message has the signature that only somebody who knows the password's keys can give.
///
/// # Errors
/// In words, with the server's own where it refuses.
pub(super) fn confirm(server_last: &str, signature: &[u8]) -> Result<(), String> {
    if let Some(error) = server_last.strip_prefix("e=") {
        return Err(error.to_owned());
    }
    let given = server_last.split(',').find_map(|part| part.strip_prefix("v=")).unwrap_or_default();
    match decode_block(given) {
        Ok(given) if given.len() == signature.len() && openssl::memcmp::eq(&given, signature) => Ok(()),
        _ => Err("the server cannot prove that it knows the password".to_owned()),
    }
}

fn in_words(error: &ErrorStack) -> String {
    format!("OpenSSL: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677.
    fn example() -> (Scram, String) {
        let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        Scram::with_nonce(MessageDigest::sha256(), "user", "pencil", nonce)
    }
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn the_published_example_comes_out() {
        let (scram, first) = example();
        assert_eq!(first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let (last, signature) = scram.prove(SERVER_FIRST).expect("valid");
        assert!(last.ends_with(",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), "{last}");
        assert_eq!(confirm("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", &signature), Ok(()));
        assert!(confirm("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", &signature).is_err());
        assert!(confirm("", &signature).is_err());
        assert_eq!(confirm("e=invalid-proof", &signature), Err("invalid-proof".to_owned()));
    }

    #[test]
    fn names_are_escaped_and_messages_of_others_refused() {
        let (_, first) = Scram::with_nonce(MessageDigest::sha512(), "a=b,c", "x", "n".to_owned());
        assert_eq!(first, "n,,n=a=3Db=2Cc,r=n");
        let (scram, _) = example();
        for (from, to) in
            [("rOpr", "xOpr"), ("i=4096", "i=1"), ("i=4096", "i=99999999"), ("s=W22", "t=W22"), ("Q==", "!")]
        {
            assert!(scram.prove(&SERVER_FIRST.replace(from, to)).is_err(), "{from} → {to}");
        }
        assert_eq!(scram.prove("e=other-error").err().as_deref(), Some("other-error"));
    }
}
