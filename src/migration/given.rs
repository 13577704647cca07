//! What topics and groups were given in the end: who asks for more afterwards is not told that nothing is left to do.

use super::options::MigrateOptions;
use super::preflight;
use super::withheld::Withheld;
use crate::backup::manifest::{GapReason, Manifest};
use crate::backup::restore::Offsets;
use crate::backup::{KeptGroups, OnGap};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a migration gives in the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GivenEnd {
    /// The groups that were asked for.
    groups: KeptGroups,
    /// Those of them that have got a place.
    pub(super) places: BTreeSet<String>,
    acls: bool,
    hold_retention: bool,
    /// Records that the source had lost before they could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<String>,
    /// What of it could not be given.
    #[serde(default)]
    pub(super) withheld: Withheld,
}

impl GivenEnd {
    /// What these options give, with what was read last, but for what could not be given.
    pub(super) fn of(options: &MigrateOptions, manifest: &Manifest, withheld: Withheld) -> Self {
        let places = preflight::wanted(manifest, &options.groups).into_iter().map(str::to_owned).collect();
        let (acls, hold_retention) = (options.acls, options.hold_retention);
        Self { groups: options.groups.clone(), places, acls, hold_retention, lost: lost(manifest), withheld }
    }

    /// How the groups that are wanted were left out, where they were.
    pub(super) fn without(&self, wanted: &KeptGroups) -> Option<String> {
        match (&self.groups, wanted) {
            (_, KeptGroups::None) | (KeptGroups::All, _) => None,
            (KeptGroups::None, _) => Some("without groups".to_owned()),
            (KeptGroups::Named(given), KeptGroups::All) => Some(format!("with no group but `{}`", given.join("`, `"))),
            (KeptGroups::Named(given), KeptGroups::Named(wanted)) => {
                let left = wanted.iter().find(|name| !given.contains(name))?;
                Some(format!("without group `{left}`"))
            }
        }
    }
}

/// How a migration that is complete differs from what is asked for now, where it does: `with …`, `without …`.
pub(super) fn otherwise(offsets: Offsets, given: Option<&GivenEnd>, options: &MigrateOptions) -> Option<String> {
    if offsets != options.offsets {
        return Some(format!("with {} offsets", offset_word(offsets)));
    }
    let Some(given) = given else {
        let asked = options.groups != KeptGroups::None || options.acls || options.hold_retention;
        return asked.then(|| "by a version of kscen that did not note which groups and ACLs it gave".to_owned());
    };
    let lost = given.lost.as_ref().filter(|_| options.on_gap == OnGap::Stop);
    given
        .without(&options.groups)
        .or_else(|| (options.acls && !given.acls).then(|| "without ACLs".to_owned()))
        .or_else(|| match (options.hold_retention, given.hold_retention) {
            (true, false) => Some("with retention".to_owned()),
            (false, true) => Some("without retention".to_owned()),
            _ => None,
        })
        .or_else(|| lost.map(|lost| format!("without records that the source had lost: {lost}")))
}

/// What kind of offsets these are.
pub(super) fn offset_word(offsets: Offsets) -> &'static str {
    if offsets == Offsets::Exact { "exact" } else { "translated" }
}

/// The first records that the source had lost before they could be read.
pub(super) fn lost(manifest: &Manifest) -> Option<String> {
    manifest.topics.iter().find_map(|topic| {
        let first = |partition: &crate::backup::manifest::KeptPartition| {
            let gap = partition.gaps.iter().find(|gap| gap.reason == GapReason::Retention)?;
            let (name, number, until) = (&topic.name, partition.partition, gap.until - 1);
            Some(format!("offsets {} to {until} of {name}/{number} were deleted before they could be read", gap.from))
        };
        topic.partitions.iter().find_map(first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::MovedTopic;

    fn options() -> MigrateOptions {
        MigrateOptions::new(vec![MovedTopic { name: "orders".to_owned(), to: None }], "staging".into())
    }

    fn named(names: &[&str]) -> KeptGroups {
        KeptGroups::Named(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn given(groups: KeptGroups) -> GivenEnd {
        let (places, withheld) = (BTreeSet::new(), Withheld::default());
        GivenEnd { groups, places, acls: true, hold_retention: false, lost: None, withheld }
    }

    #[test]
    fn groups_that_were_left_out_are_missed_and_fewer_than_were_given_are_not() {
        let without = |had, wanted| given(had).without(&wanted);
        assert_eq!(without(KeptGroups::None, KeptGroups::All).as_deref(), Some("without groups"));
        assert_eq!(without(KeptGroups::None, named(&["a"])).as_deref(), Some("without groups"));
        assert_eq!(without(named(&["a", "b"]), KeptGroups::All).as_deref(), Some("with no group but `a`, `b`"));
        assert_eq!(without(named(&["a"]), named(&["a", "b"])).as_deref(), Some("without group `b`"));
        for had in [KeptGroups::None, named(&["a"]), KeptGroups::All] {
            assert_eq!(without(had.clone(), KeptGroups::None), None);
            assert_eq!(without(KeptGroups::All, had), None);
        }
        assert_eq!(without(named(&["a", "b"]), named(&["b"])), None);
    }

    #[test]
    fn what_a_complete_migration_did_not_give_is_not_taken_for_given() {
        let all = given(KeptGroups::All);
        let now = |given: Option<&GivenEnd>, options: MigrateOptions| otherwise(Offsets::Translated, given, &options);
        assert_eq!(now(Some(&all), options()), None);
        let exact = now(Some(&all), MigrateOptions { offsets: Offsets::Exact, ..options() });
        assert_eq!(exact.as_deref(), Some("with translated offsets"));
        assert_eq!(now(Some(&given(KeptGroups::None)), options()).as_deref(), Some("without groups"));
        let bare = GivenEnd { acls: false, ..all.clone() };
        assert_eq!(now(Some(&bare), options()).as_deref(), Some("without ACLs"));
        assert_eq!(now(Some(&bare), MigrateOptions { acls: false, ..options() }), None);
        let held = GivenEnd { hold_retention: true, ..all.clone() };
        assert_eq!(now(Some(&held), options()).as_deref(), Some("without retention"));
        let hold = || MigrateOptions { hold_retention: true, ..options() };
        assert_eq!(now(Some(&all), hold()).as_deref(), Some("with retention"));
        assert_eq!(now(Some(&held), hold()), None);
        let lossy = GivenEnd { lost: Some("offsets 5 to 6".to_owned()), ..all };
        assert!(now(Some(&lossy), options()).is_some_and(|words| words.ends_with("lost: offsets 5 to 6")));
        assert_eq!(now(Some(&lossy), MigrateOptions { on_gap: OnGap::Record, ..options() }), None);
        // Of an earlier version it is not known.
        assert!(now(None, options()).is_some_and(|words| words.contains("did not note")));
        assert_eq!(now(None, MigrateOptions { groups: KeptGroups::None, acls: false, ..options() }), None);
    }
}
