//! Text of SQL into statements.

use super::{DatabaseError, DatabaseResult};

/// One statement of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its text, without the semicolon and without what surrounds it.
    pub text: String,
    /// Line of its first character in the script, from 1.
    pub line: u32,
}

/// What a statement does to the transaction around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatementRole {
    Begin,
    Commit,
    Rollback,
    /// Ends the transaction for this session; another statement commits it, or rolls it back.
    Prepare,
    /// Cannot run inside a transaction block, or ends transactions by itself.
    Outside,
    /// Changes which tables exist.
    Definition,
    Ordinary,
}

/// So many of its words say what a statement does.
const FIRST: usize = 6;

impl Statement {
    /// Whether it ends the transaction that it is in.
    pub fn ends_transaction(&self) -> bool {
        matches!(self.role(), StatementRole::Commit | StatementRole::Rollback | StatementRole::Prepare)
    }

    /// Its text without comments.
    pub fn bare(&self) -> String {
        without_comments(&self.text)
    }

    /// The name of the transaction that it prepares, or that was prepared and it ends, as it is written.
    fn prepared_name(&self) -> Option<String> {
        let bare = self.bare();
        Some(bare.split_once('\'')?.1.trim_end().to_owned())
    }

    /// Whether another transaction is open behind the one that it ends.
    pub(super) fn chains(&self) -> bool {
        let ends = matches!(self.role(), StatementRole::Commit | StatementRole::Rollback);
        ends && self.words(FIRST).windows(2).any(|pair| pair == ["and", "chain"])
    }

    /// Whether tables may be others behind it.
    pub(super) fn redefines(&self) -> bool {
        self.role() == StatementRole::Definition || self.detaches_concurrently()
    }

    /// Whether it may have changed rows where it ran outside of a transaction whose id is known.
    pub(super) fn may_have_written(&self) -> bool {
        let words = self.words(FIRST);
        words.first().is_some_and(|word| word == "call") || words.starts_with(&["commit".into(), "prepared".into()])
    }

    fn detaches_concurrently(&self) -> bool {
        if self.words(1) != ["alter"] {
            return false;
        }
        let words = self.words(usize::MAX);
        words.last().is_some_and(|word| word == "concurrently")
            && words.windows(2).any(|pair| pair == ["detach", "partition"])
    }

    /// So many of its first words in lower case: a statement may have a million.
    fn words(&self, most: usize) -> Vec<String> {
        let bare = self.bare();
        let words = bare.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        words.take(most).map(str::to_ascii_lowercase).collect()
    }

    pub(super) fn role(&self) -> StatementRole {
        if self.detaches_concurrently() {
            return StatementRole::Outside;
        }
        let words = self.words(FIRST);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["rollback", "to", ..] | ["rollback", "work" | "transaction", "to", ..] => StatementRole::Ordinary,
            ["prepare", "transaction", ..] => StatementRole::Prepare,
            ["rollback" | "commit", "prepared", ..] => StatementRole::Outside,
            ["begin", ..] | ["start", "transaction", ..] => StatementRole::Begin,
            ["commit" | "end", ..] => StatementRole::Commit,
            ["rollback" | "abort", ..] => StatementRole::Rollback,
            ["vacuum" | "call" | "reindex" | "cluster" | "checkpoint", ..]
            | ["alter", "system", ..]
            | ["discard", "all", ..]
            | ["create" | "drop", "database" | "tablespace" | "subscription", ..] => StatementRole::Outside,
            ["create" | "drop", rest @ ..] if rest.contains(&"concurrently") => StatementRole::Outside,
            ["create" | "alter" | "drop", ..] => StatementRole::Definition,
            _ => StatementRole::Ordinary,
        }
    }
}

/// The names of transactions that a script has prepared: their changes are its own, whoever commits them.
#[derive(Clone, Debug, Default)]
pub struct PreparedNames(Vec<String>);

impl PreparedNames {
    /// A statement has ended a transaction.
    pub(super) fn learn(&mut self, statement: &Statement) {
        if statement.role() == StatementRole::Prepare {
            self.0.extend(statement.prepared_name());
        }
    }

    /// Whether a statement ends one of them.
    pub(super) fn has(&self, statement: &Statement) -> bool {
        statement.prepared_name().is_some_and(|name| self.0.contains(&name))
    }
}

/// Cuts a script behind each definition outside of a transaction, so that whoever watches tables can look at the new ones before
/// anything is written to them.
pub fn by_definition(statements: &[Statement]) -> Vec<&[Statement]> {
    let mut chunks = Vec::new();
    let (mut from, mut open) = (0, false);
    for (index, statement) in statements.iter().enumerate() {
        match statement.role() {
            StatementRole::Begin => open = true,
            StatementRole::Commit | StatementRole::Rollback => open &= statement.chains(),
            StatementRole::Prepare => open = false,
            StatementRole::Definition if !open => {
                chunks.push(&statements[from..=index]);
                from = index + 1;
            }
            StatementRole::Definition | StatementRole::Outside | StatementRole::Ordinary => {}
        }
    }
    if from < statements.len() {
        chunks.push(&statements[from..]);
    }
    chunks
}

/// Splits a script at its semicolons, those in strings, identifiers, dollar quotes and comments excepted.
///
/// # Errors
/// [`DatabaseError::Misuse`] for a quote or comment that does not end, with its line, and for `COPY … FROM STDIN`.
pub fn split(script: &str) -> DatabaseResult<Vec<Statement>> {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < script.len() {
        if script.as_bytes()[at] == b';' {
            push(&mut statements, script, start, at)?;
            at += 1;
            start = at;
        } else {
            at = skip_token(script, at)?;
        }
    }
    push(&mut statements, script, start, script.len())?;
    Ok(statements)
}

fn push(statements: &mut Vec<Statement>, script: &str, start: usize, end: usize) -> DatabaseResult<()> {
    let raw = &script[start..end];
    let bare = without_comments(raw);
    if bare.trim().is_empty() {
        return Ok(());
    }
    let lead = raw.len() - raw.trim_start().len();
    let line = line_of(script, start + lead);
    let lower = bare.to_ascii_lowercase();
    if lower.trim_start().starts_with("copy") && lower.contains("from stdin") {
        return Err(DatabaseError::Misuse {
            message: format!(
                "line {line}: COPY FROM STDIN is not possible in a script; use INSERT or COPY FROM a file of the server"
            ),
        });
    }
    statements.push(Statement { text: raw.trim().to_owned(), line });
    Ok(())
}

fn line_of(script: &str, at: usize) -> u32 {
    script[..at].bytes().filter(|byte| *byte == b'\n').count() as u32 + 1
}

/// The index after the token that begins at `at`: a quoted thing or comment as a whole, anything else one character.
fn skip_token(script: &str, at: usize) -> DatabaseResult<usize> {
    let rest = &script[at..];
    let bytes = rest.as_bytes();
    let open = |what: &str| DatabaseError::Misuse {
        message: format!("line {}: {what} that begins here does not end", line_of(script, at)),
    };
    let length = match bytes[0] {
        b'-' if rest.starts_with("--") => Some(rest.find('\n').unwrap_or(rest.len())),
        b'/' if rest.starts_with("/*") => Some(comment_length(rest).ok_or_else(|| open("the comment"))?),
        b'\'' => {
            // E'…' knows backslashes; the E must be a word of its own.
            let before: Vec<char> = script[..at].chars().rev().take(2).collect();
            let escapes = matches!(before.first(), Some('e' | 'E'))
                && before.get(1).is_none_or(|c| !c.is_alphanumeric() && *c != '_');
            Some(quoted_length(rest, b'\'', escapes).ok_or_else(|| open("the string"))?)
        }
        b'"' => Some(quoted_length(rest, b'"', false).ok_or_else(|| open("the quoted name"))?),
        b'$' if !script[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') => match dollar_tag(rest) {
            Some(tag) => {
                let body = rest[tag.len()..].find(tag).ok_or_else(|| open("the dollar-quoted text"))?;
                Some(body + 2 * tag.len())
            }
            None => None,
        },
        _ => None,
    };
    let one = rest.chars().next().map_or(1, char::len_utf8);
    Ok(at + length.unwrap_or(one))
}

/// Comments nest in PostgreSQL.
fn comment_length(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0u32, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// A doubled quote is seen as two quoted things in a row, which splits the same.
fn quoted_length(rest: &str, quote: u8, escapes: bool) -> Option<usize> {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// `$$` or `$tag$`; `$1` is a parameter.
fn dollar_tag(rest: &str) -> Option<&str> {
    let end = rest[1..].find('$')? + 1;
    let tag = &rest[1..end];
    let valid = tag.chars().all(|c| c.is_alphanumeric() || c == '_') && !tag.starts_with(|c: char| c.is_ascii_digit());
    valid.then(|| &rest[..=end])
}

fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        // What does not end was reported when the script was split.
        let next = skip_token(text, at).unwrap_or(text.len());
        if rest.starts_with("--") || rest.starts_with("/*") {
            out.push(' ');
        } else {
            out.push_str(&text[at..next]);
        }
        at = next;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Vec<String> {
        split(script).unwrap().into_iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn only_real_semicolons_split() {
        let script = "INSERT INTO a VALUES (';', 'it''s;');\n-- c;\nSELECT \"x;y\" /* ; /* ; */ ; */ ;\n\
            DO $f$ BEGIN PERFORM 1; END $f$; SELECT E'\\';', $1;; ";
        assert_eq!(
            texts(script),
            [
                "INSERT INTO a VALUES (';', 'it''s;')",
                "-- c;\nSELECT \"x;y\" /* ; /* ; */ ; */",
                "DO $f$ BEGIN PERFORM 1; END $f$",
                "SELECT E'\\';', $1",
            ]
        );
        assert_eq!(texts("  -- nothing\n"), Vec::<String>::new());
        assert_eq!(split("\n\n SELECT 1").unwrap()[0].line, 3);
    }

    #[test]
    fn what_does_not_end_is_named_with_its_line() {
        assert!(split("SELECT 1;\nSELECT 'x").unwrap_err().to_string().starts_with("line 2: the string"));
        assert!(split("/* /* */").unwrap_err().to_string().contains("the comment"));
        assert!(split("COPY t FROM stdin;").is_err());
    }

    #[test]
    fn roles_are_read_from_the_first_words() {
        let role = |text: &str| Statement { text: text.into(), line: 1 }.role();
        assert_eq!(role("-- x\n begin work"), StatementRole::Begin);
        assert_eq!(role("ROLLBACK TO SAVEPOINT a"), StatementRole::Ordinary);
        assert_eq!(role("END"), StatementRole::Commit);
        assert_eq!(role("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)"), StatementRole::Outside);
        assert_eq!(role("CREATE TABLE begin (a int)"), StatementRole::Definition);
        assert_eq!(role("INSERT INTO commit VALUES (1)"), StatementRole::Ordinary);
        assert_eq!(role("PREPARE TRANSACTION 'p'"), StatementRole::Prepare);
        assert_eq!(role("PREPARE q AS SELECT 1"), StatementRole::Ordinary);
        assert_eq!(role("commit PREPARED 'p'"), StatementRole::Outside);
        assert_eq!(role("DISCARD ALL"), StatementRole::Outside);
        let detached = "ALTER TABLE IF EXISTS only_here.events DETACH PARTITION events_old ";
        assert_eq!(role(detached), StatementRole::Definition);
        assert_eq!(role(&format!("{detached} concurrently -- now")), StatementRole::Outside);
        let default = "ALTER TABLE t ALTER a SET DEFAULT 'detach partition concurrently', ALTER b DROP DEFAULT";
        assert_eq!(role(default), StatementRole::Definition);
    }

    #[test]
    fn a_chained_transaction_is_open_behind_the_one_that_ends() {
        let chains = |text: &str| Statement { text: text.into(), line: 1 }.chains();
        let open =
            ["COMMIT AND CHAIN", "rollback work and /* a */ chain", "END TRANSACTION AND CHAIN", "ABORT AND CHAIN"];
        assert!(open.into_iter().all(chains));
        let ended = ["COMMIT", "COMMIT AND NO CHAIN", "ROLLBACK TO and_chain", "SELECT 1 AND chain"];
        assert!(!ended.into_iter().any(chains));
        // A definition in it is not cut off.
        let script = "BEGIN; COMMIT AND CHAIN; CREATE TABLE a (id int); ROLLBACK; CREATE TABLE b (id int); SELECT 1";
        let statements = split(script).unwrap();
        let lengths: Vec<usize> = by_definition(&statements).into_iter().map(<[Statement]>::len).collect();
        assert_eq!(lengths, [5, 1]);
    }

    #[test]
    fn what_a_statement_outside_of_a_transaction_may_do_is_known() {
        let one = |text: &str| Statement { text: text.into(), line: 1 };
        assert!(["CALL fill()", "COMMIT PREPARED 'p'"].into_iter().all(|text| one(text).may_have_written()));
        let harmless = ["VACUUM t", "ROLLBACK PREPARED 'p'", "DISCARD ALL", "CREATE INDEX CONCURRENTLY i ON t (a)"];
        assert!(!harmless.into_iter().any(|text| one(text).may_have_written()));
        assert!(one("ALTER TABLE t DETACH PARTITION p CONCURRENTLY").redefines());
        assert!(one("CREATE TABLE t (id int)").redefines() && !one("VACUUM t").redefines());
    }

    #[test]
    fn what_is_prepared_is_no_longer_open() {
        let script = "BEGIN; CREATE TABLE a (id int); PREPARE TRANSACTION 'p'; CREATE TABLE b (id int); SELECT 1";
        let statements = split(script).unwrap();
        let lengths: Vec<usize> = by_definition(&statements).into_iter().map(<[Statement]>::len).collect();
        assert_eq!(lengths, [4, 1]);
        let ends: Vec<bool> = statements.iter().map(Statement::ends_transaction).collect();
        assert_eq!(ends, [false, false, true, false, false]);
        let mut prepared = PreparedNames::default();
        statements.iter().for_each(|statement| prepared.learn(statement));
        let has = |text: &str| prepared.has(&Statement { text: text.into(), line: 1 });
        assert!(has("COMMIT PREPARED 'p'") && has("/* it's ours */ COMMIT PREPARED 'p' "));
        assert!(!has("COMMIT PREPARED 'q'") && !has("CALL fill()"));
        let ends = |text: &str| split(text).unwrap()[0].ends_transaction();
        assert!(["COMMIT", "END", "abort", "ROLLBACK"].into_iter().all(ends));
        assert!(!["ROLLBACK TO SAVEPOINT a", "BEGIN", "COMMIT PREPARED 'p'"].into_iter().any(ends));
    }
}
