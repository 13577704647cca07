//! Who can read an archive: files of batches are encrypted to age recipients, and opened with an identity of one of them.

use age::x25519;
use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;
use std::sync::Arc;

/// A public key, `age1…`: files that are encrypted to it are opened with its identity.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(x25519::Recipient);

/// Text that is no public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRecipient(String);

impl fmt::Display for UnknownRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            // Not repeated: it is a secret.
            return f.write_str("a secret key is no recipient: give the public key that belongs to it, `age1…`");
        }
        write!(f, "`{text}` is not an age recipient: `age-keygen` makes one and prints it, `age1…`")
    }
}

impl std::error::Error for UnknownRecipient {}

impl FromStr for Recipient {
    type Err = UnknownRecipient;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.trim().parse().map(Self).map_err(|_| UnknownRecipient(text.to_owned()))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Begins to encrypt to all of these.
///
/// # Errors
/// There is none, or the output's.
pub(super) fn seal<W: Write>(recipients: &[Recipient], output: W) -> io::Result<age::stream::StreamWriter<W>> {
    let recipients = recipients.iter().map(|recipient| &recipient.0 as &dyn age::Recipient);
    age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?.wrap_output(output)
}

/// Secret keys. Cheap to clone; they are never shown.
#[derive(Clone, Default)]
pub struct Identities(Arc<Vec<x25519::Identity>>);

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} identities", self.0.len())
    }
}

/// What stands in the way of opening a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Locked {
    /// No identity was given.
    NoIdentity,
    /// None of those that were given is of a recipient.
    OtherRecipients,
    /// It is not what was encrypted.
    Damaged(String),
    /// It cannot be read.
    Unread(String),
}

impl Identities {
    /// Reads identity files as `age-keygen` writes them, one after the other: a key a line, and comments behind `#`.
    ///
    /// # Errors
    /// The line that is none, without what is in it.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut all = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |_| format!("line {} is not an age identity, `AGE-SECRET-KEY-1…`", index + 1);
            all.push(line.parse().map_err(wrong)?);
        }
        Ok(Self(Arc::new(all)))
    }

    /// These and those.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        Self(Arc::new(self.0.iter().chain(others.0.iter()).cloned().collect()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Begins to decrypt.
    pub(super) fn open<R: Read>(&self, input: R) -> Result<age::stream::StreamReader<R>, Locked> {
        use age::DecryptError;
        if self.is_empty() {
            return Err(Locked::NoIdentity);
        }
        let told = |error: DecryptError| match error {
            DecryptError::NoMatchingKeys => Locked::OtherRecipients,
            DecryptError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                Locked::Unread(error.to_string())
            }
            error => Locked::Damaged(error.to_string()),
        };
        let identities = self.0.iter().map(|identity| identity as &dyn age::Identity);
        age::Decryptor::new(input).and_then(|opened| opened.decrypt(identities)).map_err(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use age::secrecy::ExposeSecret;

    fn pair() -> (Recipient, Identities) {
        let secret = x25519::Identity::generate();
        let text = format!("# created today\n\n{}\n", secret.to_string().expose_secret());
        (secret.to_public().to_string().parse().expect("a recipient"), Identities::read(&text).expect("an identity"))
    }

    #[test]
    fn each_recipient_opens_what_was_sealed_and_nobody_else() {
        let ((first, one), (second, two), (_, other)) = (pair(), pair(), pair());
        let mut writer = seal(&[first, second], Vec::new()).expect("begun");
        writer.write_all(&[7; 200_000]).expect("written");
        let sealed = writer.finish().expect("finished");
        for identities in [&one, &two, &other.and(&two)] {
            let mut found = Vec::new();
            identities.open(&sealed[..]).expect("opened").read_to_end(&mut found).expect("read");
            assert_eq!(found, [7; 200_000]);
        }
        assert_eq!(other.open(&sealed[..]).err(), Some(Locked::OtherRecipients));
        assert_eq!(Identities::default().open(&sealed[..]).err(), Some(Locked::NoIdentity));
        assert!(matches!(one.open(&sealed[..40]).err(), Some(Locked::Damaged(_))));
        let mut changed = sealed.clone();
        changed[100_000] ^= 1;
        assert!(one.open(&changed[..]).expect("opened").read_to_end(&mut Vec::new()).is_err());
    }

    #[test]
    fn what_is_no_key_is_told_and_a_secret_is_not() {
        let secret = x25519::Identity::generate().to_string().expose_secret().to_owned();
        let told = secret.parse::<Recipient>().expect_err("refused").to_string();
        assert!(told.contains("public key") && !told.contains(&secret), "{told}");
        assert!("age1x".parse::<Recipient>().expect_err("refused").to_string().contains("`age1x` is not"));
        assert!(seal(&[], Vec::new()).is_err());
        let told = Identities::read(&format!("{secret}\nage-secret\n")).expect_err("refused");
        assert!(told.starts_with("line 2 is not") && !told.contains(&secret), "{told}");
        let shown = format!("{:?}", Identities::read(&secret).expect("an identity"));
        assert_eq!(shown, "1 identities");
    }
}
