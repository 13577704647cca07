//! What a sink connector is told to do with records before they become rows.

use super::flattened::Deletes;
use super::predicate::When;
use super::transforms::{Form, Transforms};
use crate::connect::ConnectorConfig;

/// What a sink does to records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkRules {
    /// The setting by which records may become no rows.
    pub may_drop: Option<String>,
    /// The setting by which values may be others.
    pub may_change: Option<String>,
    /// Of envelopes: the setting by which rows stay that were deleted, and whether they certainly do.
    pub keeps_deleted: Option<(String, bool)>,
}

/// Settings of sinks that leave fields out.
const LISTS: [&str; 3] = ["field.exclude.list", "field.include.list", "fields.whitelist"];

impl SinkRules {
    /// Reads the configuration of a sink.
    pub fn of(config: &ConnectorConfig) -> Self {
        let transforms = Transforms::of(config);
        let told = |key: &str| config.get(key).filter(|value| !value.trim().is_empty());
        let updates = told("insert.mode").filter(|mode| mode.eq_ignore_ascii_case("update"));
        let lists = LISTS.into_iter().find(|key| told(key).is_some()).map(str::to_owned);
        let keeps_deleted = transforms.shapes().find_map(|(_, when, form)| {
            let Form::Flat(flat) = form else { return None };
            let setting = format!("transforms.{}", flat.transform);
            match flat.deletes {
                Deletes::Dropped => Some((setting, matches!(when, When::Always))),
                // Behind a row that is marked as deleted a tombstone may follow.
                Deletes::Rewritten => Some((setting, false)),
                Deletes::Tombstone => (!flat.deletes_declared).then_some((setting, false)),
            }
        });
        Self {
            may_drop: transforms.may_drop.clone().or_else(|| updates.map(|mode| format!("insert.mode={mode}"))),
            may_change: transforms.changes_values.clone().or(lists),
            keeps_deleted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sink_leaves_out_or_changes_is_named_by_its_setting() {
        let of = |pairs: &[(&str, &str)]| {
            let config = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let SinkRules { may_drop, may_change, keeps_deleted } = SinkRules::of(&config);
            (may_drop, may_change, keeps_deleted)
        };
        let (transform, kafka) = (("transforms", "t"), "org.apache.kafka.connect.transforms");
        let setting = |class: &str| Some(format!("transforms.t.type={kafka}.{class}"));
        let one = |class: &str| {
            let class = format!("{kafka}.{class}");
            of(&[transform, ("transforms.t.type", class.as_str())])
        };
        assert_eq!(of(&[("insert.mode", "upsert"), ("field.include.list", "")]), (None, None, None));
        assert_eq!(one("RegexRouter"), (None, None, None));
        assert_eq!(one("Filter"), (setting("Filter"), None, None));
        assert_eq!(one("MaskField$Value"), (None, setting("MaskField$Value"), None));
        assert_eq!(one("HoistField$Value"), (setting("HoistField$Value"), setting("HoistField$Value"), None));
        assert_eq!(of(&[("insert.mode", "UPDATE")]), (Some("insert.mode=UPDATE".to_owned()), None, None));
        assert_eq!(of(&[("field.exclude.list", "goods:a")]), (None, Some("field.exclude.list".to_owned()), None));
        let flat = |words: &[(&str, &str)]| {
            let class = ("transforms.t.type", "io.debezium.transforms.ExtractNewRecordState");
            of(&[&[transform, class][..], words].concat()).2
        };
        let dropped = ("transforms.t.delete.handling.mode", "drop");
        assert_eq!(flat(&[dropped]), Some(("transforms.t".to_owned(), true)));
        assert_eq!(flat(&[dropped, ("transforms.t.predicate", "p")]), Some(("transforms.t".to_owned(), false)));
        // What becomes of them is a matter of the version.
        assert_eq!(flat(&[]), Some(("transforms.t".to_owned(), false)));
        assert_eq!(flat(&[("transforms.t.delete.tombstone.handling.mode", "tombstone")]), None);
        let marked = ("transforms.t.delete.tombstone.handling.mode", "rewrite");
        assert_eq!(flat(&[marked]), Some(("transforms.t".to_owned(), false)));
    }
}
