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

/// What there was before a step that may make some.
pub(super) struct Making {
    /// The step's statements and parameters.
    sql: String,
    /// What these make, whatever there is: where that is there, they fail.
    certain: Vec<Resource>,
    before: Vec<Resource>,
}

impl Making {
    /// Looks before a step whose statements may make some; nothing of any other.
    pub(super) async fn begin(
        database: &Database,
        statements: &[Statement],
        params: &str,
        cx: &mut StepContext,
    ) -> Result<Option<Self>, StepError> {
        let texts: Vec<&str> = statements.iter().map(|statement| statement.text.as_str()).chain([params]).collect();
        let sql = texts.join("\n").to_lowercase();
        if !may_make(&sql) {
            return Ok(None);
        }
        match cx.unless_stopped(present(database, RECONNECT)).await? {
            Ok(before) => Ok(Some(Self { sql, certain: certain(&texts), before })),
            Err(error @ DatabaseError::Sql(_)) => Err(StepError::broken("database", error.to_string()).because(error)),
            Err(error) => Err(broken(&error, cx).await),
        }
    }

    /// Looks behind it, whatever came of it: what is there now, and was not or was dropped, is the scenario's own.
    pub(super) async fn end(self, database: &Database, succeeded: bool, cx: &StepContext) {
        if let Ok(Ok(after)) = tokio::time::timeout(GLANCE, present(database, GLANCE)).await {
            let mut before = self.before;
            before.retain(|resource| !(succeeded && self.certain.contains(resource)));
            cx.run.changes.made(made(&self.sql, &before, after));
        }
    }
}

async fn present(database: &Database, patience: Duration) -> DatabaseResult<Vec<Resource>> {
    let session = database.connect_within(patience).await?;
    let slots = session.slots().await?.into_iter().map(|slot| Resource::Slot(slot.name));
    Ok(slots.chain(session.publications().await?.into_iter().map(Resource::Publication)).collect())
}

/// Whether a text in lower case may make a slot or a publication.
fn may_make(sql: &str) -> bool {
    let words = one_line(sql);
    let makes = ["create publication", "pg_create_logical_replication_slot", "pg_copy_logical_replication_slot"];
    makes.iter().any(|way| words.contains(way))
}

/// What the statements of a script that went through have made, though there was one of that name before: somebody has dropped it. What one of
/// them may have taken back is none of it.
fn certain(statements: &[&str]) -> Vec<Resource> {
    const BACK: [&str; 3] = ["rollback", "abort", "prepare transaction"];
    let words: Vec<String> = statements.iter().map(|statement| one_line(statement)).collect();
    if words.iter().any(|words| BACK.iter().any(|back| starts_with(words, back))) {
        return Vec::new();
    }
    words.iter().filter_map(|words| created(words)).collect()
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

/// A text in quotes, and what stands behind it.
fn literal(text: &str) -> Option<(&str, &str)> {
    text.trim_start().strip_prefix('\'')?.split_once('\'')
}

/// What is new and named by the statements; others may make some at the same time.
fn made(sql: &str, before: &[Resource], after: Vec<Resource>) -> Vec<Resource> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    let is_named = |name: &str| {
        let name = name.to_lowercase();
        sql.match_indices(&name).any(|(at, _)| {
            let (ahead, behind) = (sql[..at].chars().next_back(), sql[at + name.len()..].chars().next());
            !ahead.is_some_and(is_part) && !behind.is_some_and(is_part)
        })
    };
    let is_made = |resource: &Resource| match resource {
        Resource::Slot(name) | Resource::Publication(name) => !before.contains(resource) && is_named(name),
        _ => false,
    };
    after.into_iter().filter(is_made).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(name: &str) -> Resource {
        Resource::Slot(name.to_owned())
    }

    fn publication(name: &str) -> Resource {
        Resource::Publication(name.to_owned())
    }

    #[test]
    fn what_was_there_before_a_statement_that_would_make_it_is_somebody_elses() {
        let idioms = "select pg_create_logical_replication_slot('shop', 'pgoutput')\n  where not exists (select from \
                      pg_replication_slots where slot_name = 'shop');\ndo $$ begin create\n publication shop for table orders; \
                      exception when duplicate_object then null; end $$";
        assert!(may_make(idioms));
        let all = || vec![slot("shop"), publication("shop")];
        assert_eq!(made(idioms, &all(), all()), []);
        assert_eq!(made(idioms, &[slot("shop")], all()), [publication("shop")]);
        assert_eq!(made(idioms, &[], all()), all());
        // Others are made at the same time, and one whose name has the other in it.
        assert_eq!(made(idioms, &all(), vec![slot("theirs"), slot("shop_2")]), []);
        let copy = "select pg_copy_logical_replication_slot('theirs', 'mine')";
        let there = [slot("theirs")];
        assert_eq!(made(copy, &there, vec![slot("theirs"), slot("mine")]), [slot("mine")]);
    }

    #[test]
    fn what_a_script_drops_and_makes_again_is_its_own() {
        let drops = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'shop'";
        let makes = "SELECT lsn\n FROM pg_create_logical_replication_slot( 'shop', 'pgoutput')";
        let all = [drops, makes, "DROP  PUBLICATION IF EXISTS shop", "CREATE  PUBLICATION Shop FOR TABLE a"];
        assert_eq!(certain(&all), [slot("shop"), publication("shop")]);
        assert_eq!(certain(&["SELECT pg_copy_logical_replication_slot('theirs' , 'mine')"]), [slot("mine")]);
        assert_eq!(certain(&["CREATE PUBLICATION \"Store\""]), [publication("Store")]);
        // What is only named beside it, and what is made on a condition, by a parameter, or taken back, may be somebody else's.
        let beside =
            ["SELECT pg_drop_replication_slot('mine')", "ALTER PUBLICATION theirs ADD TABLE a", "{\"a\":\"theirs\"}"];
        assert_eq!(certain(&beside), []);
        let careful = format!("{makes} WHERE NOT EXISTS (SELECT FROM pg_replication_slots)");
        assert_eq!(certain(&["SELECT pg_create_logical_replication_slot('theirs', 'pgoutput') FROM missing"]), []);
        let block = format!("DO $$ BEGIN {makes}; EXCEPTION WHEN others THEN NULL; END $$");
        assert_eq!(
            certain(&[careful.as_str(), &block, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')"]),
            []
        );
        assert_eq!(certain(&["BEGIN", all[2], all[3], "ROLLBACK"]), []);
    }

    #[test]
    fn names_are_as_postgresql_folds_them() {
        let sql = "CREATE PUBLICATION Shop; CREATE PUBLICATION \"Store\"".to_lowercase();
        let after = || vec![publication("shop"), publication("Store")];
        assert_eq!(made(&sql, &[], after()), after());
        assert!(!may_make("select slot_name from pg_replication_slots where slot_name = 'theirs'"));
    }
}
