//! Replication slots and publications that a step makes for connectors to read. What was there before is somebody else's, whatever the
//! statements say: PostgreSQL knows no `IF NOT EXISTS` for them, so scripts look first, or take the error.

use super::RECONNECT;
use super::failure::broken;
use crate::database::{Database, DatabaseError, DatabaseResult, Statement};
use crate::faults::Resource;
use crate::text::one_line;
use crate::verb::{StepContext, StepError};
use std::time::Duration;

/// How long a look behind the step may take: without it nothing is known to be the run's.
const GLANCE: Duration = Duration::from_secs(5);

/// How slots and publications are made.
const WAYS: [&str; 3] =
    ["pg_create_logical_replication_slot", "pg_copy_logical_replication_slot", "create publication"];

/// What there was before a step that may make some.
pub(super) struct Making {
    sql: MakingSql,
    before: Vec<Resource>,
}

/// A step's statements, each on one line and without comments, and its parameters.
struct MakingSql {
    /// All in lower case.
    texts: Vec<String>,
    /// What they make, whatever there is: where that is there, they fail.
    certain: Vec<Resource>,
}

impl Making {
    /// Looks before a step whose statements may make some; nothing of any other.
    pub(super) async fn begin(
        database: &Database,
        statements: &[Statement],
        params: &str,
        cx: &mut StepContext,
    ) -> Result<Option<Self>, StepError> {
        let sql = MakingSql::of(statements, params);
        if !sql.may_make() {
            return Ok(None);
        }
        match cx.unless_stopped(present(database, RECONNECT)).await? {
            Ok(before) => Ok(Some(Self { sql, before })),
            Err(error @ DatabaseError::Sql(_)) => Err(StepError::broken("database", error.to_string()).because(error)),
            Err(error) => Err(broken(&error, cx).await),
        }
    }

    /// Looks behind it, whatever came of it: what is there now, and was not or was dropped, is the scenario's own.
    pub(super) async fn end(self, database: &Database, succeeded: bool, cx: &StepContext) {
        if let Ok(Ok(after)) = tokio::time::timeout(GLANCE, present(database, GLANCE)).await {
            let mut before = self.before;
            before.retain(|resource| !(succeeded && self.sql.certain.contains(resource)));
            cx.run.changes.made(self.sql.made(&before, after));
        }
    }
}

async fn present(database: &Database, patience: Duration) -> DatabaseResult<Vec<Resource>> {
    let session = database.connect_within(patience).await?;
    let slots = session.slots().await?.into_iter().map(|slot| Resource::Slot(slot.name));
    Ok(slots.chain(session.publications().await?.into_iter().map(Resource::Publication)).collect())
}

impl MakingSql {
    fn of(statements: &[Statement], params: &str) -> Self {
        let bare: Vec<String> = statements.iter().map(|statement| one_line(&statement.bare())).collect();
        let texts = bare.iter().map(|text| text.to_lowercase()).chain([params.to_lowercase()]).collect();
        Self { texts, certain: certain(&bare) }
    }

    /// Whether it may make a slot or a publication.
    fn may_make(&self) -> bool {
        self.texts.iter().any(|text| WAYS.iter().any(|way| text.contains(way)))
    }

    /// What is new and named by the statements; others may make some at the same time.
    fn made(&self, before: &[Resource], after: Vec<Resource>) -> Vec<Resource> {
        let is_made = |resource: &Resource| match resource {
            Resource::Slot(name) | Resource::Publication(name) => {
                let name = name.to_lowercase();
                !before.contains(resource) && self.texts.iter().any(|text| is_named(text, &name))
            }
            _ => false,
        };
        after.into_iter().filter(is_made).collect()
    }
}

/// What the statements of a script that went through have made, though there was one of that name before: somebody has dropped it. What one of
/// them may have taken back is none of it.
fn certain(statements: &[String]) -> Vec<Resource> {
    const BACK: [&str; 3] = ["rollback", "abort", "prepare transaction"];
    if statements.iter().any(|words| BACK.iter().any(|back| starts_with(words, back))) {
        return Vec::new();
    }
    statements.iter().flat_map(|words| parts(words)).filter_map(|words| created(&words)).collect()
}

/// The statements of a block that takes one way only; of any other statement itself.
fn parts(words: &str) -> Vec<String> {
    // Comments of a block are still in it, and what stands in a text is not run.
    const OTHER_WAYS: [&str; 10] =
        [" then ", " loop ", "exception", "return", "exit", "rollback", "execute", "raise", "--", "/*"];
    let lower = words.to_ascii_lowercase();
    let body = lower.strip_prefix("do $$ begin ").map(|rest| rest.trim_end_matches([';', '$', ' ']));
    let body = body.and_then(|rest| rest.strip_suffix("end"));
    match body.filter(|_| !OTHER_WAYS.iter().any(|way| lower.contains(way))) {
        Some(body) => body.split(';').map(|part| part.trim().replacen("perform ", "select ", 1)).collect(),
        None => vec![words.to_owned()],
    }
}

fn starts_with(words: &str, start: &str) -> bool {
    words.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// The slot or the publication that a statement makes, if it does nothing else and asks for nothing before.
fn created(words: &str) -> Option<Resource> {
    const PUBLICATION: &str = "create publication ";
    const CONDITIONS: [&str; 6] = [" where ", "case ", " limit ", " having ", " join ", "exists"];
    if starts_with(words, PUBLICATION) {
        return identifier(&words[PUBLICATION.len()..]).map(Resource::Publication);
    }
    let lower = words.to_ascii_lowercase();
    // What another table has no rows for is not made.
    let source = lower.split_once(" from ").map(|(_, source)| source.trim_start_matches("pg_catalog."));
    let is_certain = source.is_none_or(|source| source.starts_with("pg_c"));
    if !is_certain || !lower.starts_with("select ") || CONDITIONS.iter().any(|condition| lower.contains(condition)) {
        return None;
    }
    let behind = |function: &str| Some(&words[lower.find(function)? + function.len()..]);
    let name = match (behind("pg_create_logical_replication_slot("), behind("pg_copy_logical_replication_slot(")) {
        (Some(arguments), None) => literal(arguments)?.0,
        (None, Some(arguments)) => literal(literal(arguments)?.1.trim_start().strip_prefix(',')?)?.0,
        _ => return None,
    };
    Some(Resource::Slot(name.to_owned()))
}

/// A name as PostgreSQL reads it.
fn identifier(text: &str) -> Option<String> {
    match text.strip_prefix('"') {
        Some(quoted) => Some(quoted.split_once('"')?.0.to_owned()),
        None => text.split([' ', ';']).next().map(str::to_ascii_lowercase),
    }
}

/// A text in quotes, and what stands behind it; the name of a parameter may stand before it.
fn literal(text: &str) -> Option<(&str, &str)> {
    let named = text.trim_start();
    let value = named.strip_prefix("slot_name").map_or(named, |rest| rest.trim_start_matches([' ', ':', '=', '>']));
    value.strip_prefix('\'')?.split_once('\'')
}

/// Whether a name goes on with this.
fn is_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

/// Whether a name stands in a text, and is no part of another.
fn is_named(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let (ahead, behind) = (text[..at].chars().next_back(), text[at + name.len()..].chars().next());
        !ahead.is_some_and(is_part) && !behind.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::split;

    fn slot(name: &str) -> Resource {
        Resource::Slot(name.to_owned())
    }

    fn publication(name: &str) -> Resource {
        Resource::Publication(name.to_owned())
    }

    fn sql(script: &str, params: &str) -> MakingSql {
        MakingSql::of(&split(script).expect("statements"), params)
    }

    #[test]
    fn what_was_there_before_a_statement_that_would_make_it_is_somebody_elses() {
        let idioms = "select pg_create_logical_replication_slot('shop', 'pgoutput')\n  where not exists (select from \
                      pg_replication_slots where slot_name = 'shop');\ndo $$ begin create\n publication shop for table orders; \
                      exception when duplicate_object then null; end $$";
        let idioms = sql(idioms, "[]");
        assert!(idioms.may_make());
        let all = || vec![slot("shop"), publication("shop")];
        assert_eq!(idioms.made(&all(), all()), []);
        assert_eq!(idioms.made(&[slot("shop")], all()), [publication("shop")]);
        assert_eq!(idioms.made(&[], all()), all());
        // Others are made at the same time, and one whose name has the other in it.
        assert_eq!(idioms.made(&all(), vec![slot("theirs"), slot("shop_2")]), []);
        let copy = sql("select pg_copy_logical_replication_slot('theirs', 'mine')", "[]");
        let there = [slot("theirs")];
        assert_eq!(copy.made(&there, vec![slot("theirs"), slot("mine")]), [slot("mine")]);
    }

    #[test]
    fn what_a_script_drops_and_makes_again_is_its_own() {
        let drop_slot = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = 'shop'";
        let make_slot = "select pg_create_logical_replication_slot('shop', 'pgoutput')";
        let anew = |script: &str, resource: &Resource| sql(script, "[]").certain.contains(resource);
        let script = format!("{drop_slot};\n{make_slot};\ndrop  publication if exists shop;\ncreate publication shop");
        assert!(anew(&script, &slot("shop")) && anew(&script, &publication("shop")));
        assert!(!anew(&format!("{drop_slot};\n{make_slot}"), &publication("shop")));
        for make in [
            "select pg_create_logical_replication_slot(slot_name => 'shop', plugin => 'pgoutput')",
            "select * from pg_copy_logical_replication_slot('theirs', 'shop')",
        ] {
            assert!(anew(&format!("{drop_slot};\n{make}"), &slot("shop")), "{make}");
        }
        let quoted = sql("CREATE  PUBLICATION Shop FOR TABLE a;\nCREATE PUBLICATION \"Store\"", "[]");
        assert_eq!(quoted.certain, [publication("shop"), publication("Store")]);
        let block =
            sql("do $$ begin\n drop publication if exists shop; create publication shop for table a; end $$;", "[]");
        assert_eq!(block.certain, [publication("shop")]);
        // One that could not be dropped would be taken for the run's.
        for careful in [
            format!("{drop_slot} and not active;\n{make_slot} where not exists (select from pg_replication_slots)"),
            format!("do $$ begin {drop_slot}; {make_slot}; exception when others then null; end $$"),
            "select pg_create_logical_replication_slot('shop', 'pgoutput') from missing".to_owned(),
            "select pg_create_logical_replication_slot($1, 'pgoutput')".to_owned(),
            format!("begin;\n{drop_slot};\n{make_slot};\nrollback"),
        ] {
            assert!(!anew(&careful, &slot("shop")), "{careful}");
        }
    }

    #[test]
    fn what_a_script_only_speaks_of_is_somebody_elses() {
        let mine = "select pg_drop_replication_slot('mine');\n\
                    select pg_create_logical_replication_slot('mine', 'pgoutput')";
        for script in [
            format!("-- for debezium\n{mine} /* as debezium does */"),
            format!("{mine};\nselect * from pg_replication_slots where slot_name = 'debezium'"),
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name <> 'debezium';\n\
             select pg_create_logical_replication_slot('mine', 'pgoutput')"
                .to_owned(),
            "select pg_drop_replication_slot('mine');\n\
             select pg_copy_logical_replication_slot('debezium', 'mine')"
                .to_owned(),
        ] {
            assert!(!sql(&script, "[]").certain.contains(&slot("debezium")), "{script}");
        }
        assert!(sql(mine, "[]").certain.contains(&slot("mine")));
        let told = sql(&format!("-- theirs\n{mine}"), "[]");
        assert_eq!(told.made(&[], vec![slot("theirs"), slot("mine")]), [slot("mine")]);
    }

    #[test]
    fn names_are_as_postgresql_folds_them() {
        let sql = |script| sql(script, "[]");
        let after = || vec![publication("shop"), publication("Store")];
        assert_eq!(sql("CREATE PUBLICATION Shop; CREATE PUBLICATION \"Store\"").made(&[], after()), after());
        assert!(!sql("select slot_name from pg_replication_slots where slot_name = 'theirs'").may_make());
    }
}
