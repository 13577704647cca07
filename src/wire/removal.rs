//! Removing members from a group whose sessions would last for a while: those of clients that were killed, and static ones.

use super::cluster::WireCluster;
use super::frame::text;
use super::groups::{DescribedMember, GroupKind, GroupState, coordinator_once};
use super::refusal::{MissingRight, Operation, RightSubject};
use super::routing::insist;
use super::wire_error::WireError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, GroupId, LeaveGroupRequest, LeaveGroupResponse};
use std::time::Instant;

const ACTION: &str = "remove members from";
/// The epoch that says in the new protocol that a member leaves for good, a static one too.
const LEAVES: i32 = -1;
/// Kafka's code for a member that is not there any more.
const UNKNOWN_MEMBER: i16 = 25;

/// Removes these members from a group, as if they had left it. One that is gone already is no error.
///
/// ACL: READ on the Group.
///
/// # Errors
/// A refusal, or nobody answers.
pub async fn remove(cluster: &WireCluster, group: &GroupState, members: &[&DescribedMember]) -> Result<(), WireError> {
    if members.is_empty() {
        return Ok(());
    }
    let deadline = cluster.deadline();
    insist(deadline, || async move {
        match group.kind {
            GroupKind::Consumer => leave_each(cluster, group, members, deadline).await,
            GroupKind::Classic | GroupKind::Other(_) => leave_together(cluster, group, members, deadline).await,
        }
    })
    .await
}

/// The classic protocol: one request for all.
async fn leave_together(
    cluster: &WireCluster,
    group: &GroupState,
    members: &[&DescribedMember],
    deadline: Instant,
) -> Result<(), WireError> {
    let broker = coordinator_once(cluster, &group.id, deadline).await?;
    let leaving = members.iter().map(|member| {
        MemberIdentity::default()
            .with_member_id(text(&member.id))
            .with_group_instance_id(member.instance.as_deref().map(text))
    });
    let request = LeaveGroupRequest::default().with_group_id(GroupId(text(&group.id))).with_members(leaving.collect());
    read_leave(&group.id, &cluster.ask_broker(broker, &request, deadline).await?)
}

fn read_leave(group: &str, answer: &LeaveGroupResponse) -> Result<(), WireError> {
    let codes = std::iter::once(answer.error_code).chain(answer.members.iter().map(|member| member.error_code));
    codes.into_iter().try_for_each(|code| check(code, None, group))
}

/// The protocol of Kafka 4: each member says that it leaves.
async fn leave_each(
    cluster: &WireCluster,
    group: &GroupState,
    members: &[&DescribedMember],
    deadline: Instant,
) -> Result<(), WireError> {
    let broker = coordinator_once(cluster, &group.id, deadline).await?;
    for member in members {
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(&group.id)))
            .with_member_id(text(&member.id))
            .with_member_epoch(LEAVES);
        let answer = cluster.ask_broker(broker, &request, deadline).await?;
        check(answer.error_code, answer.error_message.as_deref(), &group.id)?;
    }
    Ok(())
}

fn check(code: i16, message: Option<&str>, group: &str) -> Result<(), WireError> {
    if code == UNKNOWN_MEMBER {
        return Ok(());
    }
    Ok(MissingRight::check(code, message, ACTION, Operation::Read, RightSubject::Group(group.to_owned()))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::leave_group_response::MemberResponse;

    #[test]
    fn a_member_that_is_gone_is_no_error_and_a_refusal_of_one_is() {
        let answer = |codes: &[i16]| {
            let members = codes.iter().map(|code| MemberResponse::default().with_error_code(*code)).collect();
            LeaveGroupResponse::default().with_members(members)
        };
        assert!(read_leave("g", &answer(&[0, 25])).is_ok());
        // FENCED_INSTANCE_ID
        assert!(read_leave("g", &answer(&[0, 82])).is_err());
        assert!(read_leave("g", &LeaveGroupResponse::default().with_error_code(30)).is_err());
    }
}
