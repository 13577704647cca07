//! Tables and types, as the catalogue has them now.

use super::{DatabaseResult, Session, TableName, UserType};
use std::collections::HashMap;

/// A table that rows can be written to.
#[derive(Clone, Debug)]
pub(super) struct CatalogTable {
    /// Its object id.
    pub(super) id: u32,
    pub(super) name: TableName,
    /// Its rows have an identity in the log: updates and deletes may be published. A deferrable key is none.
    pub(super) identified: bool,
    /// Columns of the primary key, without those that it only includes; where there is none, of the only unique index, if it tells each row.
    pub(super) primary: Vec<String>,
    /// Columns that have a default, by themselves or by their type.
    pub(super) defaults: Vec<String>,
    /// It is in the account's publication of all changes.
    pub(super) published: bool,
    /// It is in the account's publication of inserts.
    pub(super) inserts: bool,
    /// The partitioned tables above it, the nearest first.
    pub(super) ancestors: Vec<TableName>,
    /// Updates and deletes that were tried so far, by the server's statistics.
    pub(super) changed: i64,
}

/// A type that is not PostgreSQL's own: what it is based on, and what it is.
#[derive(Clone, Debug)]
pub(super) struct CatalogType {
    pub(super) base: u32,
    pub(super) modifier: i32,
    pub(super) user_type: UserType,
}

/// Object ids from here on are given to what users make.
const FIRST_OF_USERS: u32 = 16_384;

impl Session {
    /// Every ordinary table, with its place in the publications `all` and `inserts`.
    pub(super) async fn catalog_tables(&self, all: &str, inserts: &str) -> DatabaseResult<Vec<CatalogTable>> {
        let statement = "SELECT n.nspname::text, c.relname::text, \
              c.relreplident = 'f' OR EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND \
                ((c.relreplident = 'd' AND i.indisprimary) OR (c.relreplident = 'i' AND i.indisreplident))), \
              ARRAY(SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid \
                  AND a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1]) \
                WHERE i.indrelid = c.oid AND (i.indisprimary OR (i.indisunique AND i.indisvalid AND i.indpred IS NULL \
                    AND i.indexprs IS NULL AND i.indnkeyatts = i.indnatts \
                    AND (SELECT count(*) FROM pg_index u WHERE u.indrelid = c.oid AND u.indisunique) = 1 \
                    AND NOT EXISTS (SELECT FROM pg_attribute n WHERE n.attrelid = c.oid AND n.attnum = ANY(i.indkey) \
                      AND NOT n.attnotnull))) \
                ORDER BY a.attnum), \
              EXISTS (SELECT 1 FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid \
                WHERE r.prrelid = c.oid AND p.pubname = $1), \
              EXISTS (SELECT 1 FROM pg_publication p LEFT JOIN pg_publication_rel r ON p.oid = r.prpubid AND r.prrelid = c.oid \
                WHERE p.pubname = $2 AND (p.puballtables OR r.oid IS NOT NULL)), \
              ARRAY(SELECT jsonb_build_array(an.nspname, ac.relname)::text \
                FROM pg_partition_ancestors(c.oid) WITH ORDINALITY a(id, place) JOIN pg_class ac ON ac.oid = a.id \
                JOIN pg_namespace an ON an.oid = ac.relnamespace WHERE a.id <> c.oid ORDER BY a.place), \
              coalesce(pg_stat_get_tuples_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid), 0), \
              ARRAY(SELECT a.attname::text FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (a.atthasdef OR t.typdefault IS NOT NULL)), \
              c.oid \
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
            WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
        let rows = self.client.query(statement, &[&all, &inserts]).await?;
        rows.iter()
            .map(|row| {
                let ancestors: Vec<String> = row.try_get(6)?;
                let ancestors = ancestors.iter().filter_map(|pair| {
                    let [schema, table]: [String; 2] = serde_json::from_str(pair).ok()?;
                    Some(TableName::new(schema, table))
                });
                Ok(CatalogTable {
                    name: TableName::new(row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?),
                    identified: row.try_get(2)?,
                    primary: row.try_get(3)?,
                    published: row.try_get(4)?,
                    inserts: row.try_get(5)?,
                    ancestors: ancestors.collect(),
                    changed: row.try_get(7)?,
                    defaults: row.try_get(8)?,
                    id: row.try_get(9)?,
                })
            })
            .collect()
    }

    /// All types that are not PostgreSQL's own, by object id; domains are followed to what they are based on.
    pub(super) async fn catalog_types(&self) -> DatabaseResult<HashMap<u32, CatalogType>> {
        let statement = "SELECT oid, typname::text, typtype::text, typbasetype, typtypmod FROM pg_type \
                         WHERE oid >= $1 AND typtype IN ('e', 'd', 'b', 'c', 'r', 'm')";
        let mut types = HashMap::new();
        let mut domains = Vec::new();
        for row in self.client.query(statement, &[&FIRST_OF_USERS]).await? {
            let (oid, name, kind): (u32, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let (base, modifier): (u32, i32) = (row.try_get(3)?, row.try_get(4)?);
            let user_type = match kind.as_str() {
                "e" => UserType::Enum,
                "d" => {
                    domains.push((oid, base, modifier));
                    continue;
                }
                _ => UserType::Named(name.into()),
            };
            types.insert(oid, CatalogType { base: oid, modifier: -1, user_type });
        }
        let bases: HashMap<u32, (u32, i32)> =
            domains.iter().map(|(oid, base, modifier)| (*oid, (*base, *modifier))).collect();
        for (oid, ..) in domains {
            let (mut base, mut modifier) = (oid, -1);
            while let Some((next, own)) = bases.get(&base) {
                base = *next;
                modifier = if modifier < 0 { *own } else { modifier };
            }
            let user_type = types.get(&base).map_or(UserType::No, |known: &CatalogType| known.user_type.clone());
            types.insert(oid, CatalogType { base, modifier, user_type });
        }
        Ok(types)
    }
}
