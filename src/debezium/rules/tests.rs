use super::*;
use crate::database::{Column, Published, UserType};
use std::collections::BTreeMap;

fn rules(words: &[(&str, &str)], publication: PublicationFacts) -> CaptureRules {
    let mut config: ConnectorConfig =
        words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    config.insert("topic.prefix".to_owned(), "cdc".to_owned());
    config.insert("plugin.name".to_owned(), "pgoutput".to_owned());
    CaptureRules::of("c", &config, publication)
}

fn relation(name: &str, ancestors: &[&str]) -> Relation {
    let column = Column {
        name: "id".into(),
        type_oid: 23,
        type_modifier: -1,
        key: true,
        user_type: UserType::No,
        has_default: false,
    };
    Relation {
        name: TableName::parse(name),
        columns: vec![column],
        ancestors: ancestors.iter().map(|name| TableName::parse(name)).collect(),
        full: false,
    }
}

fn topics(words: &[(&str, &str)], table: &str) -> Result<Vec<String>, String> {
    rules(words, PublicationFacts::Unknown).topics(&TableName::new("public", table))
}

#[test]
fn topics_follow_naming_and_routes() {
    assert_eq!(topics(&[], "Order Lines").unwrap(), ["cdc.public.Order_Lines"]);
    let route = [
        ("transforms", "route"),
        ("transforms.route.type", "org.apache.kafka.connect.transforms.RegexRouter"),
        ("transforms.route.regex", "(.*)\\.public\\.(contact.*)"),
        ("transforms.route.replacement", "shop.$2-$1"),
    ];
    assert_eq!(topics(&route, "contact_eu").unwrap(), ["shop.contact_eu-cdc"]);
    assert_eq!(topics(&route, "parcel").unwrap(), ["cdc.public.parcel"]);
    let shards = [
        ("transforms", "shards"),
        ("transforms.shards.type", "io.debezium.transforms.ByLogicalTableRouter"),
        ("transforms.shards.topic.regex", "(.*)customers_shard(.*)"),
        ("transforms.shards.topic.replacement", "$1customers_all"),
        ("transforms.shards.predicate", "some"),
    ];
    assert_eq!(
        topics(&shards, "customers_shard1").unwrap(),
        ["cdc.public.customers_all", "cdc.public.customers_shard1"]
    );
    let unknown = [("transforms", "x"), ("transforms.x.type", "org.example.Router")];
    assert!(topics(&unknown, "t").unwrap_err().contains("org.example.Router"));
    assert!(topics(&[("topic.naming.strategy", "org.example.Names")], "t").is_err());
}

#[test]
fn what_is_configured_decides_what_is_owed() {
    let duty = |words: &[(&str, &str)], op| rules(words, PublicationFacts::Unknown).duty(&relation("t", &[]), op);
    assert_eq!(duty(&[], RowOp::Delete), Duty::Owed);
    assert!(matches!(duty(&[], RowOp::Truncate), Duty::Excused(_)));
    assert_eq!(duty(&[("skipped.operations", "none")], RowOp::Truncate), Duty::Owed);
    assert!(matches!(duty(&[("skipped.operations", "d,t")], RowOp::Delete), Duty::Excused(why) if why.contains("d,t")));
    assert!(matches!(duty(&[("skipped.operations", "u")], RowOp::Update), Duty::Barred(_)));
    assert!(matches!(duty(&[("table.include.list", "public.u")], RowOp::Insert), Duty::Barred(_)));
    assert_eq!(duty(&[("table.include.list", "public\\.T, sales.x")], RowOp::Insert), Duty::Owed, "whatever the case");
    assert!(matches!(duty(&[("schema.exclude.list", "pub.*")], RowOp::Insert), Duty::Barred(_)));
    let filter = [("transforms", "f"), ("transforms.f.type", "io.debezium.transforms.Filter")];
    assert!(matches!(duty(&filter, RowOp::Insert), Duty::Perhaps(_)));
    let flat = [
        ("transforms", "u"),
        ("transforms.u.type", "io.debezium.transforms.ExtractNewRecordState"),
        ("transforms.u.delete.tombstone.handling.mode", "drop"),
        ("transforms.u.add.fields", "op, source.lsn"),
    ];
    assert!(matches!(duty(&flat, RowOp::Delete), Duty::Excused(_)));
    let flat = rules(&flat, PublicationFacts::Unknown);
    assert!(
        matches!(flat.form(), Form::Flat(Flat { lsn: Some(lsn), op: Some(op), .. }) if lsn == "__source_lsn" && op == "__op")
    );
}

#[test]
fn publications_are_read() {
    let mut tables = BTreeMap::new();
    tables.insert(
        TableName::parse("visit"),
        Published { row_filter: Some("(id > 5)".into()), columns: None, filtered_since: Some(100) },
    );
    let publication = Publication { name: "p".into(), inserts: true, via_root: true, tables, ..Publication::default() };
    let known = rules(&[], PublicationFacts::Known(publication));
    let leaf = relation("visit_2024", &["visit"]);
    assert_eq!(known.published_as(&leaf), &TableName::parse("visit"));
    assert_eq!(known.duty(&leaf, RowOp::Insert), Duty::Owed);
    let rows = known.published_rows(known.published_as(&leaf)).expect("a filter");
    assert!(rows.reason.contains("id > 5"), "{}", rows.reason);
    assert!(matches!(known.duty(&leaf, RowOp::Update), Duty::Barred(why) if why.contains("updates")));
    let mut told = known.clone();
    told.skipped = vec!["d".to_owned()];
    // A connector that is told to skip deletes makes a publication without them.
    assert!(matches!(told.duty(&leaf, RowOp::Delete), Duty::Excused(why) if why.contains("skipped.operations")));
    assert!(
        matches!(known.duty(&relation("other", &[]), RowOp::Insert), Duty::Barred(why) if why.contains("ADD TABLE"))
    );
}

#[test]
fn columns_that_are_changed_are_named_by_their_setting() {
    let rules = rules(
        &[
            ("column.mask.with.12.chars", "public.person.phone"),
            ("column.exclude.list", "public.person.born"),
            ("column.truncate.to.3.chars", "public.person.na.*"),
        ],
        PublicationFacts::Unknown,
    );
    let person = TableName::parse("person");
    assert_eq!(rules.column(&person, "phone"), Err("column.mask.with.12.chars".to_owned()));
    assert_eq!(rules.column(&person, "name"), Err("column.truncate.to.3.chars".to_owned()));
    assert_eq!(rules.column(&person, "id"), Ok(()));
    let only = super::tests::rules(&[("column.include.list", "public.person.id")], PublicationFacts::Unknown);
    assert_eq!(only.column(&person, "id"), Ok(()));
    assert!(only.column(&person, "born").is_err());
}

#[test]
fn converters_that_cannot_be_read_are_named() {
    let avro = [("value.converter", "io.confluent.connect.avro.AvroConverter")];
    assert!(rules(&avro, PublicationFacts::Unknown).unreadable.unwrap().contains("JsonConverter"));
    let cloud = [("value.converter", "io.debezium.converters.CloudEventsConverter")];
    assert!(rules(&cloud, PublicationFacts::Unknown).unreadable.is_some());
    let json = [("value.converter", "org.apache.kafka.connect.json.JsonConverter")];
    assert!(rules(&json, PublicationFacts::Unknown).unreadable.is_none());
}
