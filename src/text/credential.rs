//! Which names are those of credentials: of properties, variables, parameters of addresses and flags.

use std::ops::Range;

/// Parts of such names.
const MARKS: [&str; 27] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pgpass",
    "secret",
    "token",
    "jaas",
    "credential",
    "key.pem",
    "keystore.key",
    "private.key",
    "private_key",
    "private-key",
    "privatekey",
    "api.key",
    "api_key",
    "api-key",
    "apikey",
    "account_key",
    "accountkey",
    "oauthbearer.config",
    "auth.user.info",
    "authorization",
    "connection_string",
    "connectionstring",
    "sas_url",
];
/// Words that say it only where they stand alone: `db_pw`, `dsn`.
const WORDS: [&str; 5] = ["pw", "pwd", "pass", "psw", "dsn"];

/// Where a text in small letters names a credential.
pub fn credential_marks(small: &str) -> impl Iterator<Item = Range<usize>> {
    let found = move |word: &'static str| small.match_indices(word).map(|(at, word)| at..at + word.len());
    let alone = move |range: &Range<usize>| {
        let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !letter(small[..range.start].chars().next_back()) && !letter(small[range.end..].chars().next())
    };
    MARKS.into_iter().flat_map(found).chain(WORDS.into_iter().flat_map(found).filter(alone))
}

/// Whether what has this name is a credential, whatever its case.
pub fn is_credential(name: &str) -> bool {
    credential_marks(&name.to_ascii_lowercase()).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_by_their_names() {
        for name in [
            "sasl.password",
            "SSL.Keystore.Key",
            "apikey",
            "x-api-key",
            "PGPASSWORD",
            "pgpass",
            "passwd",
            "db_pw",
            "pw",
            "DSN",
            "private_key",
            "api_token",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in ["topic", "bypass", "key", "partition.key", "spw", "compass_rate", "ssl.key.location"] {
            assert!(!is_credential(name), "{name}");
        }
    }
}
