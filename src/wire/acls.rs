//! Access control lists of topics, in Kafka's words.

use super::cluster::WireCluster;
use super::frame::{Malformed, text};
use super::refusal::{MissingRight, Operation, RightSubject};
use super::wire_error::WireError;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::{CreateAclsRequest, DescribeAclsRequest, DescribeAclsResponse};
use std::sync::Arc;

/// Kafka's numbers: any; topics; every pattern that matches a name.
const ANY: i8 = 1;
const TOPIC: i8 = 2;
const MATCHING: i8 = 2;

const PATTERNS: &[(i8, &str)] = &[(3, "LITERAL"), (4, "PREFIXED")];
const PERMISSIONS: &[(i8, &str)] = &[(2, "DENY"), (3, "ALLOW")];
const OPERATIONS: &[(i8, &str)] = &[
    (2, "ALL"),
    (3, "READ"),
    (4, "WRITE"),
    (5, "CREATE"),
    (6, "DELETE"),
    (7, "ALTER"),
    (8, "DESCRIBE"),
    (9, "CLUSTER_ACTION"),
    (10, "DESCRIBE_CONFIGS"),
    (11, "ALTER_CONFIGS"),
    (12, "IDEMPOTENT_WRITE"),
];

/// One right of one principal on topics, or its denial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicAcl {
    /// `LITERAL` or `PREFIXED`.
    pub pattern: String,
    /// The topic, a prefix, or `*`.
    pub resource: String,
    /// Who, as in `User:alice`.
    pub principal: String,
    /// From where; `*` for everywhere.
    pub host: String,
    /// Such as `READ`.
    pub operation: String,
    /// `ALLOW` or `DENY`.
    pub permission: String,
}

/// The rights that hold for a topic, by its name, by a prefix of it or for all topics; `None` where the cluster has no authorizer.
///
/// ACL: DESCRIBE on the Cluster.
///
/// # Errors
/// A refusal, an answer with numbers that have no word here, or no broker answers.
pub async fn of_topic(cluster: &WireCluster, topic: &str) -> Result<Option<Vec<TopicAcl>>, WireError> {
    let request = DescribeAclsRequest::default()
        .with_resource_type_filter(TOPIC)
        .with_resource_name_filter(Some(text(topic)))
        .with_pattern_type_filter(MATCHING)
        .with_principal_filter(None)
        .with_host_filter(None)
        .with_operation(ANY)
        .with_permission_type(ANY);
    let answer = cluster.ask_any(&request, cluster.deadline(), Ok).await?;
    if answer.error_code == ResponseError::SecurityDisabled.code() {
        return Ok(None);
    }
    let message = answer.error_message.as_deref();
    MissingRight::check(answer.error_code, message, "list the ACLs of", Operation::Describe, RightSubject::Cluster)?;
    let mut found = read(&answer).map_err(|number| WireError::Malformed {
        address: cluster.address_of(-1),
        request: "DescribeAcls",
        source: Arc::new(Malformed::Missing(format!("a word for the number {number} in an ACL"))),
    })?;
    found.sort();
    Ok(Some(found))
}

/// # Errors
/// A number that has no word here.
fn read(answer: &DescribeAclsResponse) -> Result<Vec<TopicAcl>, i8> {
    let word = |words: &[(i8, &str)], number: i8| {
        words.iter().find(|(known, _)| *known == number).map(|(_, word)| (*word).to_owned()).ok_or(number)
    };
    let all = answer.resources.iter().flat_map(|resource| resource.acls.iter().map(move |acl| (resource, acl)));
    all.map(|(resource, acl)| {
        Ok(TopicAcl {
            pattern: word(PATTERNS, resource.pattern_type)?,
            resource: resource.resource_name.to_string(),
            principal: acl.principal.to_string(),
            host: acl.host.to_string(),
            operation: word(OPERATIONS, acl.operation)?,
            permission: word(PERMISSIONS, acl.permission_type)?,
        })
    })
    .collect()
}

/// Gives rights. Those that are there already stay as they are.
///
/// ACL: ALTER on the Cluster.
///
/// # Errors
/// A word that Kafka does not have, the first refusal, or no broker answers. A cluster without an authorizer refuses with
/// `SECURITY_DISABLED`.
pub async fn create(cluster: &WireCluster, acls: &[TopicAcl]) -> Result<(), WireError> {
    let number = |words: &[(i8, &str)], word: &str| {
        let found = words.iter().find(|(_, known)| *known == word).map(|(number, _)| *number);
        let reason = || format!("`{word}` is not a word of Kafka's ACLs");
        found.ok_or_else(|| super::cluster::never("what an ACL says", &reason()))
    };
    let creations = acls.iter().map(|acl| {
        Ok(AclCreation::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(&acl.resource))
            .with_resource_pattern_type(number(PATTERNS, &acl.pattern)?)
            .with_principal(text(&acl.principal))
            .with_host(text(&acl.host))
            .with_operation(number(OPERATIONS, &acl.operation)?)
            .with_permission_type(number(PERMISSIONS, &acl.permission)?))
    });
    let creations = creations.collect::<Result<Vec<_>, WireError>>()?;
    let request = CreateAclsRequest::default().with_creations(creations);
    let read = |answer: kafka_protocol::messages::CreateAclsResponse| {
        for found in answer.results {
            let message = found.error_message.as_deref();
            MissingRight::check(found.error_code, message, "create ACLs of", Operation::Alter, RightSubject::Cluster)?;
        }
        Ok(())
    };
    cluster.ask_controller(&request, cluster.deadline(), read).await
}
