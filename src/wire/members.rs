//! Members of groups and what is assigned to them.

use super::groups::{DescribedMember, GroupKind, GroupState};
use super::refusal::Authorised;
use bytes::Buf;
use kafka_protocol::messages::consumer_group_describe_response as new;
use kafka_protocol::messages::describe_groups_response as classic;
use std::collections::{BTreeMap, BTreeSet};

type Assigned = BTreeMap<String, BTreeSet<i32>>;

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

pub(super) fn read_new(group: new::DescribedGroup) -> GroupState {
    let members = group.members.into_iter().map(|member| {
        let assigned = member.assignment.topic_partitions.into_iter();
        DescribedMember {
            id: member.member_id.to_string(),
            instance: member.instance_id.map(|instance| instance.to_string()),
            client: member.client_id.to_string(),
            host: member.client_host.to_string(),
            assigned: Some(
                assigned.map(|topic| (topic.topic_name.to_string(), topic.partitions.into_iter().collect())).collect(),
            ),
        }
    });
    GroupState {
        id: group.group_id.to_string(),
        kind: GroupKind::Consumer,
        state: group.group_state.to_string(),
        assignor: given(&group.assignor_name),
        epoch: Some(group.group_epoch),
        members: members.collect(),
        authorised: Authorised::read(group.authorized_operations),
    }
}

pub(super) fn read_classic(group: classic::DescribedGroup) -> GroupState {
    let consumers = &*group.protocol_type == "consumer";
    let members = group.members.into_iter().map(|member| DescribedMember {
        id: member.member_id.to_string(),
        instance: member.group_instance_id.map(|instance| instance.to_string()),
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assigned: consumers.then(|| read_assignment(member.member_assignment)).flatten(),
    });
    GroupState {
        id: group.group_id.to_string(),
        kind: GroupKind::Classic,
        state: group.group_state.to_string(),
        assignor: given(&group.protocol_data),
        epoch: None,
        members: members.collect(),
        authorised: Authorised::read(group.authorized_operations),
    }
}

/// What a leader assigned to a member, in the format that consumers have agreed on: a version, then topics with their
/// partitions. `None` where it is something else; a member that was assigned nothing yet has no bytes at all.
fn read_assignment(mut bytes: impl Buf) -> Option<Assigned> {
    let mut assigned = Assigned::new();
    if !bytes.has_remaining() {
        return Some(assigned);
    }
    let _version = bytes.try_get_i16().ok()?;
    for _ in 0..bytes.try_get_i32().ok()? {
        let length = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
        if length > bytes.remaining() {
            return None;
        }
        let topic = String::from_utf8(bytes.copy_to_bytes(length).into()).ok()?;
        let partitions: &mut BTreeSet<i32> = assigned.entry(topic).or_default();
        for _ in 0..bytes.try_get_i32().ok()? {
            partitions.insert(bytes.try_get_i32().ok()?);
        }
    }
    Some(assigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_and_a_torn_one_is_unknown() {
        let bytes = [
            &[0, 3, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2][..],
            &[0, 0, 0, 7, 0, 0, 1, 44],
            &[0xff, 0xff, 0xff, 0xff], // no user data
        ]
        .concat();
        let expected = BTreeMap::from([("t".to_owned(), BTreeSet::from([7, 300]))]);
        assert_eq!(read_assignment(&bytes[..]), Some(expected));
        assert_eq!(read_assignment(&bytes[..20]), None);
        assert_eq!(read_assignment(&b""[..]), Some(BTreeMap::new()));
        assert_eq!(read_assignment(&[0, 3, 0x7f, 0xff, 0xff, 0xff][..]), None);
    }
}
