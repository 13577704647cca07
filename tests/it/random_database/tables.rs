//! Random tables.

use super::kinds::{Kind, literal, quoted};
use rand::prelude::*;
use rand::rngs::StdRng;

/// How the log tells rows apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// By the primary key.
    Default,
    /// By the whole row.
    Full,
    /// By a unique index beside the primary key.
    Index,
    /// Not at all: such a table only takes rows.
    Nothing,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: &'static Kind,
    pub nullable: bool,
    /// It has a default, and inserts may leave it out.
    default: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Table {
    pub schema: String,
    pub name: String,
    /// The first `keys` are the primary key.
    pub columns: Vec<Column>,
    pub keys: usize,
    pub identity: Identity,
    /// A column of text that every table has, whose values are compared whatever the settings are.
    pub note: String,
    /// A column whose values are stored outside of the row.
    big: Option<String>,
    generated: bool,
    /// A partitioned table: its parts are told apart by this column.
    pub parts: Option<Vec<String>>,
}

const WORDS: &[&str] =
    &["id", "Key Part", "tenant", "select", "a-b", "Mixed", "op", "before", "schema", "payload", "ts_ms"];

impl Table {
    pub fn random(rng: &mut StdRng, schema: &str, number: usize, partitioned: bool) -> Self {
        let word = ["orders", "Order Lines", "select", "Tab Le", "say\"so\"", "a-b", "MixedCase", "t$x"]
            .choose(rng)
            .expect("a word");
        let keys = *[0, 1, 1, 1, 2, 3].choose(rng).expect("a number");
        let mut names: Vec<&str> = WORDS.to_vec();
        names.shuffle(rng);
        let mut names = names.into_iter();
        let mut name = |prefix: &str, rng: &mut StdRng, at: usize| {
            let odd = rng.random_bool(0.3);
            names.next().filter(|_| odd).map_or_else(|| format!("{prefix}{at}"), str::to_owned)
        };
        let mut columns = Vec::new();
        for at in 0..keys {
            // Not every type has a hash to part rows by.
            let kind = if partitioned && at == 0 { Kind::named("integer") } else { Kind::random(rng, true) };
            columns.push(Column { name: name("k", rng, at), kind, nullable: false, default: None });
        }
        for at in 0..rng.random_range(1..6) {
            let kind = Kind::random(rng, false);
            let nullable = rng.random_bool(0.7);
            let default = rng.random_bool(0.2).then(|| kind.value(rng, false));
            columns.push(Column { name: name("v", rng, at), kind, nullable, default });
        }
        columns.push(Column { name: "note".to_owned(), kind: Kind::named("text"), nullable: false, default: None });
        let identity = match (keys, rng.random_range(0..10)) {
            (0, 0..7) | (1.., 0..3) => Identity::Full,
            (0, _) => Identity::Nothing,
            (_, 3) => Identity::Index,
            (_, 4) => Identity::Nothing,
            _ => Identity::Default,
        };
        let parts = partitioned.then(|| vec![format!("{word}_{number}_p0"), format!("{word}_{number} P1")]);
        let identity = if parts.is_some() && identity == Identity::Index { Identity::Default } else { identity };
        Self {
            schema: schema.to_owned(),
            name: format!("{word}_{number}"),
            columns,
            keys,
            identity,
            note: "note".to_owned(),
            big: (parts.is_none() && rng.random_bool(0.4)).then(|| "big".to_owned()),
            generated: parts.is_none() && rng.random_bool(0.1),
            parts,
        }
    }

    pub fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// Rows may be updated and deleted.
    pub fn changes(&self) -> bool {
        self.identity != Identity::Nothing
    }

    pub fn definition(&self) -> String {
        let mut parts: Vec<String> = self.columns.iter().map(Column::definition).collect();
        if let Some(big) = &self.big {
            parts.push(format!("{} text", quoted(big)));
        }
        if self.generated {
            parts.push("made text GENERATED ALWAYS AS (note || '!') STORED".to_owned());
        }
        if self.identity == Identity::Index {
            parts.push("other bigint GENERATED ALWAYS AS IDENTITY".to_owned());
        }
        if self.keys > 0 {
            let keys: Vec<String> = self.columns[..self.keys].iter().map(|column| quoted(&column.name)).collect();
            parts.push(format!("PRIMARY KEY ({})", keys.join(", ")));
        }
        let table = self.quoted();
        let by = self.parts.as_ref().map(|_| format!(" PARTITION BY HASH ({})", quoted(self.partitioned_by())));
        let mut text = format!("CREATE TABLE {table} ({}){};\n", parts.join(", "), by.unwrap_or_default());
        for (index, part) in self.parts.iter().flatten().enumerate() {
            let part = format!("{}.{}", quoted(&self.schema), quoted(part));
            text +=
                &format!("CREATE TABLE {part} PARTITION OF {table} FOR VALUES WITH (MODULUS 2, REMAINDER {index});\n");
            text += &self.replica_identity(&part);
        }
        if let Some(big) = &self.big {
            text += &format!("ALTER TABLE {table} ALTER {} SET STORAGE EXTERNAL;\n", quoted(big));
        }
        text + &self.replica_identity(&table)
    }

    fn partitioned_by(&self) -> &str {
        if self.keys > 0 { &self.columns[0].name } else { &self.note }
    }

    fn replica_identity(&self, table: &str) -> String {
        match self.identity {
            Identity::Default => String::new(),
            Identity::Full => format!("ALTER TABLE {table} REPLICA IDENTITY FULL;\n"),
            Identity::Nothing => format!("ALTER TABLE {table} REPLICA IDENTITY NOTHING;\n"),
            Identity::Index => {
                let index = quoted(&format!("{} other", self.name));
                format!(
                    "CREATE UNIQUE INDEX {index} ON {table} (other);\nALTER TABLE {table} REPLICA IDENTITY USING INDEX {index};\n"
                )
            }
        }
    }

    /// Columns of an insert, and a row for them: texts, `None` for null.
    pub fn row(&self, rng: &mut StdRng, all: bool) -> (Vec<String>, Vec<Option<String>>) {
        let mut names = Vec::new();
        let mut values = Vec::new();
        for column in &self.columns {
            if !all && (column.default.is_some() || column.nullable) && rng.random_bool(0.3) {
                continue;
            }
            names.push(quoted(&column.name));
            values.push(column.value(rng));
        }
        if let Some(big) = &self.big
            && (all || rng.random_bool(0.7))
        {
            names.push(quoted(big));
            values.push(Some(large(rng)));
        }
        (names, values)
    }

    /// An assignment of a random column that is not part of the key.
    pub fn assignment(&self, rng: &mut StdRng) -> String {
        if let Some(big) = &self.big
            && rng.random_bool(0.25)
        {
            return format!("{} = {}", quoted(big), literal(&large(rng)));
        }
        let column = self.columns[self.keys..].choose(rng).expect("a column");
        if self.parts.is_some() && column.name == self.partitioned_by() && rng.random_bool(0.5) {
            return format!("{0} = {0}", quoted(&column.name));
        }
        format!("{} = {}", quoted(&column.name), cell(&column.value(rng)))
    }

    /// An assignment of a column of the key.
    pub fn new_key(&self, rng: &mut StdRng) -> Option<String> {
        let column = self.columns[..self.keys].choose(rng)?;
        Some(format!("{} = {}", quoted(&column.name), cell(&column.value(rng))))
    }

    /// A change of the table itself, made to the description as well.
    pub fn alter(&mut self, rng: &mut StdRng) -> String {
        let table = self.quoted();
        let at = rng.random_range(self.keys..self.columns.len());
        let kind = self.columns[at].kind.sql;
        let name = quoted(&self.columns[at].name);
        let free = self.columns[at].name != self.note && self.columns.len() > self.keys + 2;
        match rng.random_range(0..4) {
            0 if free => {
                self.columns.remove(at);
                format!("ALTER TABLE {table} DROP COLUMN {name};\n")
            }
            1 if free => {
                let new = format!("renamed {at}");
                self.columns[at].name.clone_from(&new);
                format!("ALTER TABLE {table} RENAME COLUMN {name} TO {};\n", quoted(&new))
            }
            2 if kind == "integer" => {
                self.columns[at].kind = Kind::named("bigint");
                format!("ALTER TABLE {table} ALTER COLUMN {name} TYPE bigint;\n")
            }
            _ => {
                let kind = Kind::random(rng, false);
                let default = kind.value(rng, false);
                let column = Column { name: format!("added{at}"), kind, nullable: true, default: Some(default) };
                if self.columns.iter().any(|known| known.name == column.name) {
                    return String::new();
                }
                let text = format!("ALTER TABLE {table} ADD COLUMN {};\n", column.definition());
                self.columns.push(column);
                text
            }
        }
    }
}

impl Column {
    fn definition(&self) -> String {
        let null = if self.nullable { "" } else { " NOT NULL" };
        let default = self.default.as_ref().map(|value| format!(" DEFAULT {}::{}", literal(value), self.kind.sql));
        format!("{} {}{null}{}", quoted(&self.name), self.kind.sql, default.unwrap_or_default())
    }

    fn value(&self, rng: &mut StdRng) -> Option<String> {
        let null = self.nullable && rng.random_bool(0.15);
        (!null).then(|| self.kind.value(rng, self.nullable))
    }
}

/// A value as SQL.
pub fn cell(value: &Option<String>) -> String {
    value.as_ref().map_or_else(|| "NULL".to_owned(), |text| literal(text))
}

fn large(rng: &mut StdRng) -> String {
    let part = ["x", "yz", "ü", "0123456789"].choose(rng).expect("a text");
    part.repeat(rng.random_range(10..4000))
}
