//! The words and signs of a condition.

/// A word or a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A word of SQL, in capitals.
    Word(String),
    /// The name of a column or of a type.
    Name(String),
    Number(String),
    Text(String),
    Sign(&'static str),
}

impl Token {
    pub(super) fn is(&self, word: &str) -> bool {
        match self {
            Self::Word(known) => known == word,
            Self::Sign(sign) => *sign == word,
            _ => false,
        }
    }
}

const WORDS: [&str; 14] =
    ["AND", "OR", "NOT", "IS", "NULL", "TRUE", "FALSE", "UNKNOWN", "DISTINCT", "FROM", "ANY", "ALL", "ARRAY", "CASE"];
/// The longer ones first.
const SIGNS: [&str; 18] =
    ["::", "<>", "<=", ">=", "(", ")", "[", "]", ",", ".", "=", "<", ">", "+", "-", "*", "%", "/"];

/// All of a text; `None` where a sign is not known.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '\'' | '"' => quoted(rest, first)?,
            _ if first.is_ascii_digit() => {
                let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
                (Token::Number(rest[..end].to_owned()), end)
            }
            _ if first.is_alphabetic() || first == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len());
                (word(&rest[..end]), end)
            }
            _ => {
                let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign))?;
                // Operators of more characters are others.
                let longer = rest[sign.len()..].starts_with(['~', '!', '@', '#', '&', '|', '<', '>', '=', '*', '/']);
                if longer && !"()[],.".contains(sign) {
                    return None;
                }
                (Token::Sign(sign), sign.len())
            }
        };
        // A text with escapes, a number with an exponent: `E'…'`, `1e5`.
        let (before, after) = rest.split_at(length);
        let joined = before.ends_with(|c: char| c.is_alphanumeric()) && after.starts_with(['\'', '"']);
        let exponent = matches!(token, Token::Number(_)) && after.starts_with(|c: char| c.is_alphabetic());
        if joined || exponent {
            return None;
        }
        all.push(token);
        rest = after.trim_start();
    }
    Some(all)
}

fn word(text: &str) -> Token {
    let capitals = text.to_ascii_uppercase();
    if WORDS.contains(&capitals.as_str()) { Token::Word(capitals) } else { Token::Name(text.to_owned()) }
}

/// A text or a name in quotes, and how long it is; a quote in it stands twice.
fn quoted(text: &str, quote: char) -> Option<(Token, usize)> {
    let mut inner = String::new();
    let mut at = 1;
    loop {
        let end = at + text[at..].find(quote)?;
        inner.push_str(&text[at..end]);
        at = end + 1;
        if !text[at..].starts_with(quote) {
            break;
        }
        inner.push(quote);
        at += 1;
    }
    Some((if quote == '"' { Token::Name(inner) } else { Token::Text(inner) }, at))
}
