//! Who may do what: bearer tokens, of which only the hashes are kept.

use crate::ground::input;
use crate::ground::trust::distrust;
use openssl::memcmp;
use openssl::sha::sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// The most bytes of a file of tokens.
const LONGEST: u64 = 1 << 20;
/// What a token begins with, so that those who look for secrets in texts find it.
const PREFIX: &str = "kscen_";

/// Something that a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenScope {
    /// To look at jobs, archives and figures.
    Read,
    /// To ask for backups and verifications, and to cancel them; with `restore` for migrations and drains, too.
    Backup,
    /// To ask for restores and verifications, and to cancel them; with `backup` for migrations and drains, too.
    Restore,
    /// To delete archives.
    Delete,
}

impl TokenScope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Read, Self::Backup, Self::Restore, Self::Delete];

    /// The word in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for TokenScope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::word).join("`, `");
        Self::ALL
            .into_iter()
            .find(|scope| scope.word() == text)
            .ok_or_else(|| format!("`{text}` is no scope: there are `{}`", known()))
    }
}

/// Which scopes something takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeededScopes {
    /// One of these.
    Any(&'static [TokenScope]),
    /// Each of these.
    All(&'static [TokenScope]),
}

impl NeededScopes {
    /// What it takes in words, each scope between these marks.
    pub fn words(self, mark: &str) -> String {
        let (scopes, between) = match self {
            Self::Any(scopes) => (scopes, "or"),
            Self::All(scopes) => (scopes, "and"),
        };
        let words: Vec<String> = scopes.iter().map(|scope| format!("{mark}{scope}{mark}")).collect();
        words.join(&format!(" {between} "))
    }
}

impl<const N: usize> From<&'static [TokenScope; N]> for NeededScopes {
    fn from(any: &'static [TokenScope; N]) -> Self {
        Self::Any(any)
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The name of the token; nothing where the service has none.
    pub name: Option<String>,
    /// What it allows.
    pub scopes: BTreeSet<TokenScope>,
}

impl Caller {
    /// Who reaches a service without tokens: they may do everything.
    pub fn anyone() -> Self {
        Self { name: None, scopes: TokenScope::ALL.into() }
    }

    /// Whether the scopes are there that something takes.
    pub fn has(&self, needed: impl Into<NeededScopes>) -> bool {
        match needed.into() {
            NeededScopes::Any(scopes) => scopes.iter().any(|scope| self.scopes.contains(scope)),
            NeededScopes::All(scopes) => scopes.iter().all(|scope| self.scopes.contains(scope)),
        }
    }
}

/// A token, without the token.
struct KnownToken {
    caller: Caller,
    hash: [u8; 32],
}

/// The tokens of a service.
pub struct Tokens(Vec<KnownToken>);

impl Tokens {
    /// Reads a file of them.
    ///
    /// # Errors
    /// It cannot be read, somebody else can change it, or a line is wrong: which, without what is in it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let named = |reason: String| format!("the file of tokens {} cannot be used: {reason}", path.display());
        if let Some(why) = distrust(path).map_err(|error| named(error.to_string()))? {
            return Err(named(why));
        }
        let text = input::text(path, LONGEST).map_err(|error| named(error.to_string()))?;
        Self::parse(&text).map_err(named)
    }

    /// A line each: a name, scopes with commas between them, the SHA-256 of the token. `#` begins a comment.
    fn parse(text: &str) -> Result<Self, String> {
        let mut known: Vec<KnownToken> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            let wrong = |reason: &str| format!("line {}: {reason}", index + 1);
            let (name, scopes, hash) = match words[..] {
                [] => continue,
                [name, scopes, hash] => (name, scopes, hash),
                _ => return Err(wrong("it is not `NAME SCOPES SHA256`, such as `kscen serve --new-token` prints it")),
            };
            check_name(name).map_err(|reason| wrong(&reason))?;
            if known.iter().any(|other| other.caller.name.as_deref() == Some(name)) {
                return Err(wrong(&format!("there are two tokens `{name}`")));
            }
            let scopes: Result<BTreeSet<TokenScope>, String> = scopes.split(',').map(str::parse).collect();
            let scopes = scopes.map_err(|reason| wrong(&reason))?;
            // Not repeated: it may be the token itself.
            let hash = unhex(hash).ok_or_else(|| wrong("its last word is no SHA-256, 64 hexadecimal digits"))?;
            known.push(KnownToken { caller: Caller { name: Some(name.to_owned()), scopes }, hash });
        }
        if known.is_empty() { Err("it has no token in it".to_owned()) } else { Ok(Self(known)) }
    }

    /// Whose token this is. How long it takes says nothing about the ones that are known.
    pub fn find(&self, token: &str) -> Option<Caller> {
        let hash = sha256(token.as_bytes());
        let mut found = None;
        for known in &self.0 {
            if memcmp::eq(&hash, &known.hash) {
                found = Some(known.caller.clone());
            }
        }
        found
    }
}

/// What `kscen serve --new-token` prints: a token, and the line that makes it known.
pub struct NewToken {
    /// The token: 256 random bits.
    pub token: String,
    /// The line for the file.
    pub line: String,
}

impl NewToken {
    /// Makes one.
    ///
    /// # Errors
    /// No token has such a name, or it would allow nothing.
    pub fn new(name: &str, scopes: &BTreeSet<TokenScope>) -> Result<Self, String> {
        check_name(name)?;
        if scopes.is_empty() {
            return Err("a token without a scope allows nothing: name one with --scope".to_owned());
        }
        let token = format!("{PREFIX}{}", hex(&rand::random::<[u8; 32]>()));
        let words: Vec<&str> = scopes.iter().map(|scope| scope.word()).collect();
        let line = format!("{name} {} {}", words.join(","), hex(&sha256(token.as_bytes())));
        Ok(Self { token, line })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '@');
    if !name.is_empty() && name.len() <= 100 && name.chars().all(plain) {
        return Ok(());
    }
    Err("the name of a token has ASCII letters, digits, `-`, `_`, `.` and `@`, at most 100".to_owned())
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_alone() {
        let scopes = BTreeSet::from([TokenScope::Read, TokenScope::Backup]);
        let (one, two) = (NewToken::new("night", &scopes).expect("one"), NewToken::new("day", &scopes).expect("two"));
        assert!(one.token.len() > 64 && !one.line.contains(&one.token) && one.token != two.token);
        let text = format!("# tokens\n\n{} # for the night\n{}\n", one.line, two.line);
        let tokens = Tokens::parse(&text).expect("tokens");
        let caller = tokens.find(&one.token).expect("known");
        assert_eq!((caller.name.as_deref(), &caller.scopes), (Some("night"), &scopes));
        assert!(caller.has(&[TokenScope::Backup, TokenScope::Delete]) && !caller.has(&[TokenScope::Restore]));
        let both = NeededScopes::All(&[TokenScope::Backup, TokenScope::Restore]);
        assert!(!caller.has(both) && Caller::anyone().has(both) && both.words("`") == "`backup` and `restore`");
        for other in ["", "night", &one.line, &one.token[1..], &format!("{} ", one.token)] {
            assert_eq!(tokens.find(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_and_no_hash_or_token() {
        let line = NewToken::new("night", &BTreeSet::from([TokenScope::Read])).expect("one").line;
        let refused = |text: &str| Tokens::parse(text).err().expect("refused");
        assert_eq!(refused(&format!("{line}\n{line}")), "line 2: there are two tokens `night`");
        assert_eq!(refused("# none\n"), "it has no token in it");
        assert!(refused("a read,write 00").contains("`write` is no scope: there are `read`, `backup`"));
        let told = refused("a read kscen_secret");
        assert!(told.contains("no SHA-256") && !told.contains("kscen_secret"), "{told}");
        assert!(refused("a b").contains("NAME SCOPES SHA256"));
        assert!(NewToken::new("a b", &BTreeSet::from([TokenScope::Read])).is_err());
        assert!(NewToken::new("a", &BTreeSet::new()).is_err());
    }

    #[test]
    fn a_file_that_others_can_change_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens");
        std::fs::write(&path, NewToken::new("a", &BTreeSet::from([TokenScope::Read])).expect("one").line)
            .expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
        assert!(Tokens::read(&path).is_ok());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("ours");
        assert!(Tokens::read(&path).err().expect("refused").contains("can be written by other users"));
        assert!(Tokens::read(&folder.path().join("none")).is_err());
    }
}
