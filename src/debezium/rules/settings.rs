//! What of a connector's configuration says what it delivers. The rest, its credentials among it, is left alone.

use crate::connect::ConnectorConfig;

/// Who chooses the partitions of records, where it is not the producer itself by their keys.
pub(super) const PARTITIONER: &str = "producer.override.partitioner.class";
/// Settings of the connector and its converters.
const OWN: [&str; 34] = [
    "binary.handling.mode",
    "column.exclude.list",
    "column.include.list",
    "converters",
    "decimal.handling.mode",
    "field.name.adjustment.mode",
    "interval.handling.mode",
    "key.converter",
    "message.key.columns",
    "money.fraction.digits",
    "plugin.name",
    PARTITIONER,
    "provide.transaction.metadata",
    "schema.exclude.list",
    "schema.include.list",
    "skip.messages.without.change",
    "skipped.operations",
    "slot.name",
    "snapshot.include.collection.list",
    "snapshot.mode",
    "snapshot.select.statement.overrides",
    "table.exclude.list",
    "table.include.list",
    "time.precision.mode",
    "tombstones.on.delete",
    "topic.delimiter",
    "topic.naming.strategy",
    "topic.prefix",
    "topic.transaction",
    "transforms",
    "unavailable.value.placeholder",
    "value.converter",
    "value.converter.decimal.format",
    "value.converter.replace.null.with.default",
];
/// What settings that name columns by patterns begin with.
const BEGINNINGS: [&str; 2] = ["column.mask.", "column.truncate.to."];
/// Settings of a transform, behind its name.
const OF_TRANSFORMS: [&str; 20] = [
    "add.fields",
    "add.fields.prefix",
    "delete.handling.mode",
    "delete.tombstone.handling.mode",
    "drop.tombstones",
    "negate",
    "predicate",
    "regex",
    "replacement",
    "route.by.field",
    "route.tombstone.on.empty.payload",
    "route.topic.regex",
    "route.topic.replacement",
    "table.expand.json.payload",
    "table.field.event.key",
    "table.field.event.payload",
    "table.fields.additional.placement",
    "topic.regex",
    "topic.replacement",
    "type",
];

/// Settings of a predicate, behind its name.
const OF_PREDICATES: [&str; 2] = ["pattern", "type"];

/// The settings that rules are made of.
pub(super) fn telling(config: &ConnectorConfig) -> ConnectorConfig {
    config.iter().filter(|(key, _)| tells(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn tells(key: &str) -> bool {
    let ends = |rest: &str, ends: &[&str]| ends.iter().any(|end| rest.ends_with(&format!(".{end}")));
    OWN.contains(&key)
        || BEGINNINGS.iter().any(|beginning| key.starts_with(beginning))
        || key.strip_prefix("transforms.").is_some_and(|rest| ends(rest, &OF_TRANSFORMS))
        || key.strip_prefix("predicates.").is_some_and(|rest| ends(rest, &OF_PREDICATES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credential_and_nothing_that_is_not_looked_at_is_kept() {
        let all = [
            ("topic.prefix", "cdc"),
            ("transforms.flat.add.fields", "op"),
            ("transforms.flat.secret", "s"),
            ("predicates.some.pattern", "cdc.*"),
            ("predicates.some.secret", "s"),
            ("column.mask.with.12.chars", "public.t.c"),
            ("database.password", "s"),
            ("value.converter.basic.auth.user.info", "u:s"),
            ("table.include.list", "t"),
        ];
        let config = all.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let kept: Vec<String> = telling(&config).into_keys().collect();
        let wanted = [
            "column.mask.with.12.chars",
            "predicates.some.pattern",
            "table.include.list",
            "topic.prefix",
            "transforms.flat.add.fields",
        ];
        assert_eq!(kept, wanted);
    }
}
