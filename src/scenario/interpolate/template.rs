use std::fmt;
use std::ops::Range;

/// A text cut into what stays and what is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The pieces in order; escapes are already undone.
    pub parts: Vec<Part>,
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Stays as it is.
    Text(String),
    /// Is replaced by a value.
    Reference(Reference),
}

/// One `${…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The names between the dots: `["steps", "load", "acked"]`. A name is made of letters, digits, `_` and `-`, starts with a letter or
    /// `_`, and may end in an index, which stays a part of it: `["steps", "load[0]", "acked"]`. A dot always separates.
    pub path: Vec<String>,
    /// What stands in where the name has no value: `x` in `${env.HOME:-x}`. Taken literally, up to the closing brace.
    pub default: Option<String>,
    /// As it is written, with `${` and `}`.
    pub raw: String,
    /// Bytes of `raw` within the text. Within the file they are shifted by quotes and escapes.
    pub range: Range<usize>,
}

impl Reference {}

/// Why a text holds no well-formed reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The byte in the text where it went wrong.
    pub offset: usize,
    /// What went wrong.
    pub kind: TemplateErrorKind,
}

/// The ways in which a reference can be malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateErrorKind {
    /// `${` without `}`.
    Unclosed,
    /// `${}`, `${a.}` or `${.a}`: a name is missing.
    Empty,
    /// A character that no name holds.
    Character(char),
    /// `${` within a default.
    Nested,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TemplateErrorKind::Unclosed => {
                f.write_str("`${` is not closed by `}`; write `$${` for the characters themselves")
            }
            TemplateErrorKind::Empty => f.write_str("a name is missing in `${…}`"),
            TemplateErrorKind::Character(' ') => f.write_str("no spaces in `${…}`: write `${name}`"),
            TemplateErrorKind::Character(c) => write!(
                f,
                "`{}` cannot stand in the name of a reference; names are like `steps.load.acked`",
                c.escape_debug()
            ),
            TemplateErrorKind::Nested => f.write_str("a reference within a reference is not supported"),
        }
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// The reference, where the text is exactly one.
    pub fn single(&self) -> Option<&Reference> {
        match self.parts.as_slice() {
            [Part::Reference(reference)] => Some(reference),
            _ => None,
        }
    }

    /// Whether it says nothing of its own: there are only references in it.
    pub fn only_refers(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Reference(_)))
    }

    /// All references in order.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.parts.iter().filter_map(|part| match part {
            Part::Reference(reference) => Some(reference),
            Part::Text(_) => None,
        })
    }
}

/// Finds the references in a text. `$${` is the text `${`; any other `$` is itself.
pub fn parse(text: &str) -> Result<Template, TemplateError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let dollar = at + found;
        if let Some(before) = text[at..dollar].strip_suffix('$') {
            literal.push_str(before);
            literal.push_str("${");
            at = dollar + 2;
            continue;
        }
        literal.push_str(&text[at..dollar]);
        if !literal.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut literal)));
        }
        let reference = reference(text, dollar)?;
        at = reference.range.end;
        parts.push(Part::Reference(reference));
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() || parts.is_empty() {
        parts.push(Part::Text(literal));
    }
    Ok(Template { parts })
}

fn reference(text: &str, dollar: usize) -> Result<Reference, TemplateError> {
    let error = |offset, kind| Err(TemplateError { offset, kind });
    let inside = dollar + 2;
    let Some(length) = text[inside..].find('}') else {
        return error(dollar, TemplateErrorKind::Unclosed);
    };
    let end = inside + length;
    let content = &text[inside..end];
    let (names, default) = match content.split_once(":-") {
        Some((names, default)) => (names, Some(default)),
        None => (content, None),
    };
    if let Some(nested) = default.and_then(|default| default.find("${")) {
        return error(inside + names.len() + 2 + nested, TemplateErrorKind::Nested);
    }
    let mut path = Vec::new();
    let mut at = inside;
    for name in names.split('.') {
        if let Err((offset, kind)) = check_name(name) {
            return error(at + offset, kind);
        }
        path.push(name.to_owned());
        at += name.len() + 1;
    }
    Ok(Reference {
        path,
        default: default.map(str::to_owned),
        raw: text[dollar..=end].to_owned(),
        range: dollar..end + 1,
    })
}

/// `[A-Za-z_][A-Za-z0-9_-]*(\[[0-9]+\])?`
fn check_name(name: &str) -> Result<(), (usize, TemplateErrorKind)> {
    let (word, index) = match name.find('[') {
        Some(bracket) => name.split_at(bracket),
        None => (name, ""),
    };
    if word.is_empty() {
        return Err((0, TemplateErrorKind::Empty));
    }
    let allowed = |(at, c): &(usize, char)| match c {
        'a'..='z' | 'A'..='Z' | '_' => true,
        '0'..='9' | '-' => *at > 0,
        _ => false,
    };
    if let Some((at, c)) = word.char_indices().find(|found| !allowed(found)) {
        return Err((at, TemplateErrorKind::Character(c)));
    }
    if index.is_empty() {
        return Ok(());
    }
    let digits = index.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match digits {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => Ok(()),
        _ => Err((word.len(), TemplateErrorKind::Character('['))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_references_and_escapes() {
        let template = parse("a-${run.id}-$${x}$${env.X:-de fault}$").expect("well-formed");
        assert_eq!(template.references().count(), 1);
        let template = parse("a-${run.id}-$${x}${env.X:-de fault}$").expect("well-formed");
        let [Part::Text(first), Part::Reference(id), Part::Text(middle), Part::Reference(env), Part::Text(last)] =
            template.parts.as_slice()
        else {
            panic!("{template:?}");
        };
        assert_eq!((first.as_str(), middle.as_str(), last.as_str()), ("a-", "-${x}", "$"));
        assert_eq!(id.path, ["run", "id"]);
        assert_eq!((id.raw.as_str(), id.range.clone()), ("${run.id}", 2..11));
        assert_eq!(env.path, ["env", "X"]);
        assert_eq!(env.default.as_deref(), Some("de fault"));
        let indexed = parse("${steps.load[0].ack-rate}").expect("well-formed");
        assert_eq!(
            indexed.single().map(|reference| reference.path.clone()),
            Some(vec!["steps".into(), "load[0]".into(), "ack-rate".into()])
        );
        assert_eq!(parse("").expect("nothing").parts, [Part::Text(String::new())]);
        assert_eq!(parse("5$ {x}").expect("nothing").references().count(), 0);
    }

    #[test]
    fn says_where_a_reference_is_malformed() {
        use TemplateErrorKind::{Character, Empty, Nested, Unclosed};
        for (text, offset, kind) in [
            ("é${x", 2, Unclosed),
            ("${}", 2, Empty),
            ("${a.}", 4, Empty),
            ("${.a}", 2, Empty),
            ("${:-x}", 2, Empty),
            ("${ a }", 2, Character(' ')),
            ("${a:b}", 3, Character(':')),
            ("${a.9x}", 4, Character('9')),
            ("${a[x]}", 3, Character('[')),
            ("${a[1}", 3, Character('[')),
            ("${a:-${b}}", 5, Nested),
            ("${a${b}}", 3, Character('$')),
        ] {
            assert_eq!(parse(text), Err(TemplateError { offset, kind }), "{text}");
        }
    }
}
