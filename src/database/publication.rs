//! What a publication covers.

use super::{DatabaseResult, Session, TableName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A publication, as the catalogue describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Its name.
    pub name: String,
    /// It says `FOR ALL TABLES`.
    pub all_tables: bool,
    /// Changes of partitions are published under the name of the root (`publish_via_partition_root`).
    pub via_root: bool,
    /// It publishes inserts.
    pub inserts: bool,
    /// It publishes updates.
    pub updates: bool,
    /// It publishes deletes.
    pub deletes: bool,
    /// It publishes truncations.
    pub truncates: bool,
    /// Its tables, under the names by which changes are published, with what it leaves out of them.
    #[serde(with = "crate::ground::pairs")]
    pub tables: BTreeMap<TableName, Published>,
}

/// What a publication has of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The columns, where it does not have all.
    pub columns: Option<BTreeSet<String>>,
    /// The condition that rows have to meet.
    pub row_filter: Option<String>,
    /// Id of the transaction that gave that condition; `None` where that is not known, or where texts of the table are compared by rules that
    /// are not known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filtered_since: Option<u32>,
}

impl Session {
    /// The publication of that name.
    ///
    /// # Errors
    /// See [`DatabaseError`](super::DatabaseError).
    pub async fn publication(&self, name: &str) -> DatabaseResult<Option<Publication>> {
        let statement = "SELECT puballtables, pubviaroot, pubinsert, pubupdate, pubdelete, pubtruncate FROM pg_publication \
                         WHERE pubname = $1";
        let Some(row) = self.client.query_opt(statement, &[&name]).await? else { return Ok(None) };
        let mut publication = Publication {
            name: name.to_owned(),
            all_tables: row.try_get(0)?,
            via_root: row.try_get(1)?,
            inserts: row.try_get(2)?,
            updates: row.try_get(3)?,
            deletes: row.try_get(4)?,
            truncates: row.try_get(5)?,
            tables: BTreeMap::new(),
        };
        // Row filters and column lists exist since version 15.
        let lists = self.version().await? >= 150_000;
        let statement = if lists {
            "SELECT t.schemaname::text, t.tablename::text, t.rowfilter, r.prattrs IS NOT NULL, \
               ARRAY(SELECT unnest(t.attnames)::text), \
               CASE WHEN NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation \
                 WHERE a.attrelid = r.prrelid AND NOT c.collisdeterministic) THEN r.xmin::text END \
             FROM pg_publication_tables t JOIN pg_publication p ON p.pubname = t.pubname \
             LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid \
               AND r.prrelid = (quote_ident(t.schemaname) || '.' || quote_ident(t.tablename))::regclass \
             WHERE t.pubname = $1"
        } else {
            "SELECT schemaname::text, tablename::text, NULL::text, false, ARRAY[]::text[], NULL::text FROM pg_publication_tables \
             WHERE pubname = $1"
        };
        for row in self.client.query(statement, &[&name]).await? {
            let table = TableName::new(row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?);
            let listed: bool = row.try_get(3)?;
            let columns: Vec<String> = row.try_get(4)?;
            let since: Option<String> = row.try_get(5)?;
            let published = Published {
                columns: listed.then(|| columns.into_iter().collect()),
                row_filter: row.try_get(2)?,
                filtered_since: since.and_then(|xid| xid.parse().ok()),
            };
            publication.tables.insert(table, published);
        }
        Ok(Some(publication))
    }
}
