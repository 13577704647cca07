//! Tables, settings and histories, and a small model of what Debezium sends of them.

use super::datum::{Datum, KINDS};
use crate::connect::ConnectorConfig;
use crate::database::{
    Column, ColumnValue, CommittedTransaction, Lsn, Relation, RowChange, RowOp, TableName, UserType,
};
use crate::debezium::{ChangeEvent, ChangeSource, Op, RowImage, RowValues, Snapshot, TableOrigin};
use rand::prelude::*;
use rand::rngs::StdRng;
use serde_json::json;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use tokio_postgres::types::Type;

/// How the connector is configured.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) decimals: &'static str,
    pub(super) times: &'static str,
    pub(super) binary: &'static str,
    pub(super) skipped: &'static str,
    pub(super) via_root: bool,
    pub(super) routed: bool,
    /// The first table has rows only where the first column of its key is no multiple of three.
    pub(super) filtered: bool,
    pub(super) masked: bool,
    /// The last column of each table is not sent.
    pub(super) excluded: bool,
}

impl Settings {
    fn random(rng: &mut StdRng) -> Self {
        Self {
            decimals: ["precise", "string", "double"].choose(rng).unwrap(),
            times: ["adaptive", "connect"].choose(rng).unwrap(),
            binary: ["bytes", "hex"].choose(rng).unwrap(),
            skipped: ["t", "t", "d,t", "u,t", "none"].choose(rng).unwrap(),
            via_root: rng.random_bool(0.3),
            routed: rng.random_bool(0.2),
            filtered: rng.random_bool(0.1),
            masked: rng.random_bool(0.2),
            excluded: rng.random_bool(0.15),
        }
    }

    pub(super) fn config(&self) -> ConnectorConfig {
        let mut pairs = vec![
            ("topic.prefix", "cdc"),
            ("plugin.name", "pgoutput"),
            ("decimal.handling.mode", self.decimals),
            ("time.precision.mode", self.times),
            ("binary.handling.mode", self.binary),
            ("skipped.operations", self.skipped),
        ];
        if self.routed {
            pairs.extend([
                ("transforms", "r"),
                ("transforms.r.type", "org.apache.kafka.connect.transforms.RegexRouter"),
                ("transforms.r.regex", "cdc\\.(.*)"),
                ("transforms.r.replacement", "shop.$1"),
            ]);
        }
        if self.masked {
            pairs.push(("column.mask.with.5.chars", "public\\..*\\.v"));
        }
        if self.excluded {
            pairs.push(("column.exclude.list", "public\\..*\\.w"));
        }
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}

/// A table and the rows that it has.
pub(super) struct Table {
    pub(super) relation: Arc<Relation>,
    pub(super) root: TableName,
    rows: Vec<Vec<Datum>>,
}

impl Table {
    fn random(rng: &mut StdRng, index: usize, via_root: bool) -> Self {
        let keys = *[0, 1, 1, 1, 2].choose(rng).unwrap();
        let keyless = keys == 0;
        let mut columns = Vec::new();
        for place in 0..keys.max(1) {
            let ty = if index == 0 && place == 0 { Type::INT4 } else { KINDS.choose(rng).unwrap().clone() };
            columns.push(column(&format!("k{place}"), &ty, !keyless));
        }
        columns.push(column("v", &Type::TEXT, false));
        columns.push(column("w", KINDS.choose(rng).unwrap(), false));
        let leaf = via_root && rng.random_bool(0.7);
        let root = TableName::new("public", format!("Table {index}"));
        let name = if leaf { TableName::new("public", format!("part_{index}")) } else { root.clone() };
        let ancestors = if leaf { vec![root.clone()] } else { Vec::new() };
        let full = keyless || rng.random_bool(0.2);
        Self { relation: Arc::new(Relation { name, columns, ancestors, full }), root, rows: Vec::new() }
    }

    fn row(&self, rng: &mut StdRng, many: i64) -> Vec<Datum> {
        let columns = self.relation.columns.iter();
        columns
            .map(|column| {
                let null = !column.key && rng.random_bool(0.1);
                if null { Datum::Null } else { Datum::of(&Type::from_oid(column.type_oid).unwrap(), rng, many) }
            })
            .collect()
    }

    fn key(&self, row: &[Datum]) -> Vec<Datum> {
        let keys = self.relation.columns.iter().zip(row).filter(|(column, _)| column.key);
        keys.map(|(_, datum)| datum.clone()).collect()
    }
}

fn column(name: &str, ty: &Type, key: bool) -> Column {
    let type_modifier = if *ty == Type::NUMERIC { (10 << 16 | 2) + 4 } else { -1 };
    Column { name: name.into(), type_oid: ty.oid(), type_modifier, key, user_type: UserType::No, has_default: false }
}

/// What the model sent for a change: the change (transaction, place), its table, and the event.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) table: usize,
    pub(super) op: RowOp,
    pub(super) key: String,
    pub(super) event: ChangeEvent,
}

pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) tables: Vec<Table>,
    pub(super) transactions: Vec<CommittedTransaction>,
    pub(super) claimed: HashSet<u32>,
    pub(super) sent: Vec<Sent>,
    pub(super) excused: u64,
    pub(super) unjudged: u64,
    pub(super) foreign: u64,
    /// Whether the reader came to the end of its topics.
    pub(super) drained: bool,
    lsn: u64,
    seed: u64,
    /// Operations that were drawn, those left out included.
    pub(super) drawn: u32,
    left_out: BTreeSet<u32>,
}

impl World {
    /// A history without the operations that are left out. What each does is drawn for itself, so that the others stay.
    pub(super) fn random(seed: u64, left_out: &BTreeSet<u32>) -> Self {
        let rng = &mut StdRng::seed_from_u64(seed);
        let settings = Settings::random(rng);
        let count = rng.random_range(1..3);
        let tables = (0..count).map(|index| Table::random(rng, index, settings.via_root)).collect();
        let mut world = Self {
            settings,
            tables,
            transactions: Vec::new(),
            claimed: HashSet::new(),
            sent: Vec::new(),
            excused: 0,
            unjudged: 0,
            foreign: 0,
            drained: rng.random_bool(0.85),
            lsn: 1000,
            seed,
            drawn: 0,
            left_out: left_out.clone(),
        };
        for number in 0..rng.random_range(1..5u32) {
            world.transact(rng, 700 + number);
        }
        world
    }

    fn transact(&mut self, rng: &mut StdRng, xid: u32) {
        let claimed = self.transactions.is_empty() || rng.random_bool(0.8);
        if claimed {
            self.claimed.insert(xid);
        }
        let mut changes = Vec::new();
        for _ in 0..rng.random_range(1..4) {
            let table = rng.random_range(0..self.tables.len());
            self.lsn += 8;
            // A record of the log may have several rows: COPY.
            let rows = if rng.random_bool(0.15) { 3 } else { 1 };
            for _ in 0..rows {
                self.drawn += 1;
                if !self.left_out.contains(&self.drawn) {
                    let mut own = StdRng::seed_from_u64(self.seed << 16 | u64::from(self.drawn));
                    self.change(&mut own, table, xid, claimed, rows == 1, &mut changes);
                }
            }
        }
        self.lsn += 8;
        self.transactions.push(CommittedTransaction { xid, commit_lsn: Lsn(self.lsn), committed_us: 1, changes });
    }

    fn change(
        &mut self,
        rng: &mut StdRng,
        index: usize,
        xid: u32,
        claimed: bool,
        alone: bool,
        changes: &mut Vec<RowChange>,
    ) {
        let table = &mut self.tables[index];
        let new = table.row(rng, 6);
        let keyed = table.relation.has_key();
        let same = |table: &Table, row: &[Datum]| table.rows.iter().position(|old| table.key(old) == table.key(row));
        let old = if keyed { same(table, &new) } else { (!table.rows.is_empty() && rng.random_bool(0.4)).then_some(0) };
        type RowValues = Option<Vec<Datum>>;
        let mut steps: Vec<(RowOp, RowValues, RowValues)> = Vec::new();
        match old {
            Some(_) if !alone => return,
            None => {
                table.rows.push(new.clone());
                steps.push((RowOp::Insert, None, Some(new)));
            }
            Some(place) if rng.random_bool(0.4) => steps.push((RowOp::Delete, Some(table.rows.remove(place)), None)),
            Some(place) => {
                let before = std::mem::replace(&mut table.rows[place], new.clone());
                steps.push((RowOp::Update, Some(before), Some(new)));
            }
        }
        // An update of the key is a delete and an insert of one log record.
        if keyed
            && alone
            && rng.random_bool(0.1)
            && let [(RowOp::Update, Some(before), Some(_))] = steps.as_slice()
        {
            let (before, moved) = (before.clone(), table.row(rng, 1000));
            if same(table, &moved).is_none() {
                let place = table.rows.iter().position(|row| table.key(row) == table.key(&before)).unwrap();
                table.rows[place] = moved.clone();
                steps = vec![(RowOp::Delete, Some(before), None), (RowOp::Insert, None, Some(moved))];
            }
        }
        for (op, before, after) in steps {
            self.commit(index, xid, claimed, op, before.as_deref(), after.as_deref(), changes);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a change and where it goes")]
    fn commit(
        &mut self,
        index: usize,
        xid: u32,
        claimed: bool,
        op: RowOp,
        before: Option<&[Datum]>,
        after: Option<&[Datum]>,
        changes: &mut Vec<RowChange>,
    ) {
        let table = &self.tables[index];
        let relation = &table.relation;
        let logged = |row: &[Datum]| -> Vec<Datum> {
            let columns = relation.columns.iter().zip(row);
            columns
                .map(|(column, datum)| if column.key || relation.full { datum.clone() } else { Datum::Null })
                .collect()
        };
        let before = before.filter(|_| op == RowOp::Delete || relation.full).map(logged);
        let cells = |row: &[Datum]| row.iter().map(Datum::postgres).collect::<Vec<ColumnValue>>();
        let row = after.or(before.as_deref()).unwrap();
        let texts: Vec<Option<String>> = cells(row).iter().map(|cell| cell.text().map(str::to_owned)).collect();
        let key = relation.key_of(&texts);
        let filtered_out = self.settings.filtered && index == 0 && matches!(row[0], Datum::Int(n) if n % 3 == 0);
        let (letter, kind) = match op {
            RowOp::Insert => ("c", Op::Create),
            RowOp::Update => ("u", Op::Update),
            _ => ("d", Op::Delete),
        };
        let skipped = self.settings.skipped.split(',').any(|skipped| skipped == letter);
        match (skipped || filtered_out, claimed) {
            (false, true) => {}
            (false, false) => self.foreign += 1,
            (true, false) => {}
            (true, true) if skipped && op == RowOp::Delete => self.excused += 1,
            (true, true) if !skipped && self.knows_filter() => self.excused += 1,
            (true, true) => self.unjudged += 1,
        }
        if !skipped && !filtered_out {
            let event = self.event(index, xid, kind, before.as_deref(), after);
            let sent = Sent { table: index, op, key: key.clone(), event };
            // The model only damages what somebody waits for.
            if claimed { self.sent.push(sent) } else { self.sent.push(Sent { table: usize::MAX, ..sent }) }
        }
        changes.push(RowChange {
            relation: Arc::clone(&self.tables[index].relation),
            op,
            key,
            before: before.as_deref().map(cells),
            after: after.map(cells),
            lsn: Lsn(self.lsn),
        });
    }

    fn image(&self, table: usize, row: &[Datum], only_key: bool) -> RowImage {
        let mut image = RowValues::new();
        for (column, datum) in
            self.tables[table].relation.columns.iter().zip(row).filter(|(column, _)| column.key || !only_key)
        {
            if self.settings.excluded && column.name == "w" {
                continue;
            }
            let masked = self.settings.masked && column.name == "v" && *datum != Datum::Null;
            image.insert(column.name.clone(), if masked { json!("*****") } else { datum.debezium(&self.settings) });
        }
        RowImage::of(&image)
    }

    fn event(&self, table: usize, xid: u32, op: Op, before: Option<&[Datum]>, after: Option<&[Datum]>) -> ChangeEvent {
        let keyed = self.tables[table].relation.has_key();
        let name = if self.settings.via_root { &self.tables[table].root } else { &self.tables[table].relation.name };
        let origin = TableOrigin {
            connector: "postgresql".to_owned(),
            version: String::new(),
            name: "cdc".to_owned(),
            database: "db".to_owned(),
            table: name.clone(),
        };
        ChangeEvent {
            key: after.or(before).filter(|_| keyed).map(|row| self.image(table, row, true)),
            op,
            before: before.map(|row| self.image(table, row, false)),
            after: after.map(|row| self.image(table, row, false)),
            source: ChangeSource {
                origin: Arc::new(origin),
                tx_id: Some(u64::from(xid)),
                lsn: Some(Lsn(self.lsn)),
                ts_us: Some(1),
                snapshot: Snapshot::No,
                last_of_snapshot: false,
                sequence: [None; 2],
            },
            ts_us: Some(1),
            transaction: None,
        }
    }

    pub(super) fn topic(&self, table: usize) -> String {
        let table = &self.tables[table];
        let name = if self.settings.via_root { &table.root } else { &table.relation.name };
        let prefix = if self.settings.routed { "shop" } else { "cdc" };
        format!("{prefix}.public.{}", name.table.replace(' ', "_"))
    }
}
