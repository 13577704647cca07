//! What the cluster says of a group's members.

use super::ConsumeSpec;
use super::settings::broker_assigns;
use crate::wire::WireCluster;
use crate::wire::groups::{self, DescribedMember, GroupState};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::runtime::Handle;

/// How long one look may take.
const ANSWER: Duration = Duration::from_secs(2);
/// Kafka's name of a group in which everybody has what is meant for him.
const STABLE: &str = "Stable";

/// Looks at a group in which the broker assigns: its client says nothing to a member that is given nothing.
pub(super) struct GroupLook {
    cluster: WireCluster,
    runtime: Handle,
    group: String,
}

impl GroupLook {
    /// `None` where the members assign, which tell each of them what it has; outside of a runtime; or where kscen's own
    /// connections do not know a property of the client's.
    pub(super) fn new(spec: &ConsumeSpec) -> Option<Self> {
        let group = spec.group.clone().filter(|_| broker_assigns(spec))?;
        let cluster = WireCluster::new(&spec.connection, ANSWER).ok()?;
        Some(Self { cluster, runtime: Handle::try_current().ok()?, group })
    }

    /// What the other members hold of a topic, by their names, where the group is settled and has nothing for this member.
    pub(super) fn others_hold(&self, member: &str, topic: &str) -> Option<Vec<(String, BTreeSet<i32>)>> {
        let mut found = self.runtime.block_on(groups::describe(&self.cluster, &[&self.group]));
        let group = found.remove(&self.group)?.ok()??;
        idle(&group, member, topic)
    }
}

fn idle(group: &GroupState, member: &str, topic: &str) -> Option<Vec<(String, BTreeSet<i32>)>> {
    let own = group.members.iter().find(|found| found.id == member)?;
    if group.state != STABLE || !own.assigned.as_ref()?.values().all(BTreeSet::is_empty) {
        return None;
    }
    let others = group.members.iter().filter(|found| found.id != member);
    let held = |other: &DescribedMember| other.assigned.as_ref().and_then(|held| held.get(topic)).cloned();
    Some(others.map(|other| (other.id.clone(), held(other).unwrap_or_default())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::groups::GroupKind;
    use std::collections::BTreeMap;

    #[test]
    fn a_member_is_idle_where_a_settled_group_has_nothing_for_it() {
        let member = |id: &str, held: &[i32]| DescribedMember {
            id: id.to_owned(),
            instance: None,
            client: String::new(),
            host: String::new(),
            assigned: Some(BTreeMap::from([("t".to_owned(), held.iter().copied().collect())])),
        };
        let mut group = GroupState {
            id: "g".to_owned(),
            kind: GroupKind::Consumer,
            state: STABLE.to_owned(),
            assignor: None,
            epoch: None,
            members: vec![member("a", &[0, 1]), member("b", &[])],
            authorised: None,
        };
        assert_eq!(idle(&group, "b", "t"), Some(vec![("a".to_owned(), BTreeSet::from([0, 1]))]));
        assert_eq!(idle(&group, "a", "t"), None, "it has something");
        assert_eq!(idle(&group, "c", "t"), None, "it has not come yet");
        group.state = "Reconciling".to_owned();
        assert_eq!(idle(&group, "b", "t"), None, "it may be given something yet");
    }
}
