use super::*;
use crate::database::{Column, Published, RowOp, UserType};
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

#[test]
fn a_delete_that_the_transform_makes_a_tombstone_of_needs_none_of_the_connectors() {
    let duty = |words: &[(&str, &str)]| {
        let common = [
            ("transforms", "u"),
            ("transforms.u.type", "io.debezium.transforms.ExtractNewRecordState"),
            ("tombstones.on.delete", "false"),
        ];
        let all: Vec<(&str, &str)> = common.iter().chain(words).copied().collect();
        rules(&all, PublicationFacts::Unknown).duty(&relation("t", &[]), RowOp::Delete)
    };
    let mode = "transforms.u.delete.tombstone.handling.mode";
    for mode in [(mode, "tombstone"), (mode, "delete-to-tombstone"), ("transforms.u.delete.handling.mode", "none")] {
        assert_eq!(duty(&[mode]), Duty::Owed, "{mode:?}");
    }
    let kept = ("transforms.u.drop.tombstones", "false");
    let dropped = duty(&[("transforms.u.delete.handling.mode", "drop"), kept]);
    assert!(matches!(dropped, Duty::Excused(why) if why.contains("tombstones.on.delete")));
    // Which record without value comes is a matter of the version.
    assert!(matches!(duty(&[kept]), Duty::Perhaps(_)));
    assert!(matches!(duty(&[(mode, "DROP")]), Duty::Excused(_)), "whatever the case");
}

#[test]
fn added_fields_are_known_by_their_names() {
    let flat = |prefix: &[(&str, &str)], fields: &str| {
        let common = [
            ("transforms", "u"),
            ("transforms.u.type", "io.debezium.transforms.ExtractNewRecordState"),
            ("transforms.u.add.fields", fields),
        ];
        let all: Vec<(&str, &str)> = common.iter().chain(prefix).copied().collect();
        match rules(&all, PublicationFacts::Unknown).form() {
            Form::Flat(flat) => flat.clone(),
            other => panic!("{other:?}"),
        }
    };
    let plain = flat(&[], "op, source.lsn,table");
    assert_eq!(plain.added, ["__op", "__source_lsn", "__table"]);
    assert_eq!((plain.op.as_deref(), plain.lsn.as_deref()), (Some("__op"), Some("__source_lsn")));
    let prefix = ("transforms.u.add.fields.prefix", "");
    let named = flat(&[prefix], "op:operation,source.lsn:version");
    assert_eq!(named.added, ["operation", "version"]);
    assert_eq!((named.op.as_deref(), named.lsn.as_deref()), (Some("operation"), Some("version")));
    assert_eq!(flat(&[prefix], "").added, [""; 0]);
    let rewritten = flat(&[prefix, ("transforms.u.delete.tombstone.handling.mode", "rewrite")], "lsn");
    assert_eq!((rewritten.added.join(","), rewritten.deleted), ("lsn,__deleted".to_owned(), Some("__deleted")));
}

/// A connector that captures an outbox and other tables.
fn outbox(words: &[(&str, &str)]) -> Vec<CaptureRules> {
    let common = [
        ("topic.prefix", "cdc"),
        ("plugin.name", "pgoutput"),
        ("transforms", "outbox"),
        ("transforms.outbox.type", "io.debezium.transforms.outbox.EventRouter"),
        ("transforms.outbox.predicate", "isOutbox"),
        ("predicates", "isOutbox"),
        ("predicates.isOutbox.type", "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"),
        ("predicates.isOutbox.pattern", "cdc\\.public\\.outbox"),
    ];
    let config = common.iter().chain(words).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let all = CaptureRules::each("c", &config, &[], &PublicationFacts::Unknown);
    // They are made again from what is stored of them.
    for rules in &all {
        let again = rules.source().rules();
        assert_eq!((again.form(), again.part), (rules.form(), rules.part));
    }
    all
}

#[test]
fn a_transform_for_some_topics_excuses_nothing_of_the_others() {
    let about = |all: &[CaptureRules], table: &str| {
        let about: Vec<_> = all.iter().filter(|rules| rules.are_about(&TableName::parse(table))).cloned().collect();
        assert_eq!(about.len(), 1, "{table}");
        about[0].clone()
    };
    let all = outbox(&[]);
    let orders = about(&all, "orders");
    assert_eq!(orders.form(), &Form::Envelope);
    for op in [RowOp::Insert, RowOp::Update, RowOp::Delete] {
        assert_eq!(orders.duty(&relation("orders", &[]), op), Duty::Owed, "{op:?}");
    }
    let messages = about(&all, "outbox");
    assert!(matches!(messages.duty(&relation("outbox", &[]), RowOp::Delete), Duty::Excused(_)));
    assert!(orders.captures(&TableName::parse("orders")) && !orders.captures(&TableName::parse("outbox")));
    // The other way round; and two transforms, of which the first that applies counts.
    let others = outbox(&[("transforms.outbox.negate", "true")]);
    assert_eq!(about(&others, "outbox").form(), &Form::Envelope);
    let flat = [
        ("transforms", "outbox,flat"),
        ("transforms.flat.type", "io.debezium.transforms.ExtractNewRecordState"),
        ("transforms.flat.delete.tombstone.handling.mode", "drop"),
    ];
    let both = outbox(&flat);
    assert!(matches!(about(&both, "outbox").form(), Form::Outbox(_)));
    assert!(matches!(about(&both, "orders").form(), Form::Flat(_)));
    // What is decided by something else is not judged.
    let unknown =
        outbox(&[("predicates.isOutbox.type", "org.apache.kafka.connect.transforms.predicates.HasHeaderKey")]);
    let [rules] = &unknown[..] else { panic!("{}", unknown.len()) };
    assert!(rules.unreadable.as_ref().is_some_and(|why| why.contains("transforms.outbox.predicate")));
    assert_eq!((rules.form(), rules.tells_deletes()), (&Form::Envelope, false));
}

#[test]
fn a_route_for_some_topics_leaves_the_others() {
    let config = |pattern| {
        [
            ("transforms", "route"),
            ("transforms.route.type", "org.apache.kafka.connect.transforms.RegexRouter"),
            ("transforms.route.regex", ".*"),
            ("transforms.route.replacement", "all"),
            ("transforms.route.predicate", "p"),
            ("predicates.p.type", "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"),
            ("predicates.p.pattern", pattern),
        ]
    };
    assert_eq!(topics(&config(".*orders"), "orders").unwrap(), ["all"]);
    assert_eq!(topics(&config(".*orders"), "parcel").unwrap(), ["cdc.public.parcel"]);
}

#[test]
fn what_was_configured_otherwise_before_is_not_judged() {
    let config = |words: &[(&str, &str)]| {
        let common = [("topic.prefix", "cdc"), ("plugin.name", "pgoutput")];
        common.iter().chain(words).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let each = |now: &[(&str, &str)], before: &[(&str, &str)]| {
        let before: [ConnectorConfig; 1] = [config(before)];
        let mut all = CaptureRules::each("c", &config(now), &before, &PublicationFacts::Unknown);
        let rules = all.remove(0);
        let again = rules.source().rules();
        assert_eq!((again.former_settings(), again.modes.guessed), (rules.former_settings(), rules.modes.guessed));
        rules
    };
    let table = relation("t", &[]);
    for (now, before) in [("d", "none"), ("none", "d")] {
        let rules = each(&[("skipped.operations", now)], &[("skipped.operations", before)]);
        let duty = rules.duty(&table, RowOp::Delete);
        assert!(matches!(&duty, Duty::Perhaps(why) if why.contains("before (skipped.operations)")), "{duty:?}");
        assert_eq!((rules.duty(&table, RowOp::Insert), rules.modes.guessed), (Duty::Owed, false));
        assert!(!rules.tells_deletes());
    }
    assert!(!each(&[], &[("tombstones.on.delete", "false")]).tombstones);
    let list = |table: &'static str| [("table.include.list", table)];
    let rules = each(&list("public.t"), &list("public.u"));
    assert!(matches!(rules.duty(&table, RowOp::Insert), Duty::Perhaps(_)));
    assert!(["t", "u"].iter().all(|table| rules.captures(&TableName::parse(table))));
    assert!(each(&[], &[("column.mask.with.3.chars", ".*")]).column(&TableName::parse("t"), "id").is_err());
    assert!(each(&[("decimal.handling.mode", "string")], &[]).modes.guessed);
    // Records of another form are none of these.
    let flat = [("transforms", "u"), ("transforms.u.type", "io.debezium.transforms.ExtractNewRecordState")];
    assert!(each(&[], &flat).unreadable.is_some_and(|why| why.contains("before")));
    // What says nothing of what is delivered changes nothing.
    assert_eq!(each(&[("max.batch.size", "7")], &[]).former.len(), 0);
}

#[test]
fn what_puts_the_changes_of_a_row_into_several_partitions_is_known() {
    let scatters = |words: &[(&str, &str)]| {
        let rules = rules(words, PublicationFacts::Unknown);
        assert_eq!(rules.source().rules().scatters(), rules.scatters());
        rules.scatters().map(str::to_owned)
    };
    let routing = [("transforms", "p"), ("transforms.p.type", "io.debezium.transforms.partitions.PartitionRouting")];
    assert!(scatters(&routing).is_some_and(|setting| setting.contains("PartitionRouting")));
    let partitioner = "producer.override.partitioner.class";
    assert_eq!(scatters(&[(partitioner, "org.example.Partitioner")]).as_deref(), Some(partitioner));
    assert_eq!(scatters(&[]), None);
}

#[test]
fn the_columns_of_keys_of_the_connectors_own_choice_are_known() {
    let columns = |list: &str| {
        let rules = rules(&[("message.key.columns", list)], PublicationFacts::Unknown);
        let columns = rules.own_key_columns(&TableName::parse("orders"));
        columns.map(|columns| columns.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(columns("public.orders:code, id; public.others:x").unwrap(), ["code", "id"]);
    assert_eq!(columns("public.orders:code;(.*):note").unwrap(), ["code", "note"]);
    assert_eq!(columns("public.others:x").unwrap(), [""; 0]);
    assert_eq!(columns("pub(lic.orders:code"), None, "a pattern that is not understood");
}
