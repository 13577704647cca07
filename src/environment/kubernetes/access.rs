//! What a user has to be allowed in the cluster: by what is needed, and no more.

use super::cluster::Kube;
use super::config::KubernetesConfig;
use crate::environment::{Action, Capability, EnvironmentError, EnvironmentResult, Needs};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use std::fmt::Write;

/// Verbs on one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AccessRule {
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    purpose: &'static str,
}

/// A rule.
pub(super) const fn rule(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    purpose: &'static str,
) -> AccessRule {
    AccessRule { group, resource, verbs, purpose }
}

const PODS: AccessRule = rule("", "pods", &["get", "list", "watch"], "to find them, and to see what becomes of them");
const EXEC: AccessRule = rule("", "pods/exec", &["create", "get"], "to signal processes, and to see their state");
const LOGS: AccessRule = rule("", "pods/log", &["get"], "to read logs, and to keep those of a pod that ends");
const DELETE: AccessRule = rule("", "pods", &["delete"], "to end a pod in order, and to let its successor start");
const HOLD: AccessRule =
    rule("apps", "statefulsets", &["get", "patch"], "to hold back the successor of a pod until it is to start");
const STRIMZI: AccessRule = rule("kafka.strimzi.io", "kafkas", &["get"], "to read the address of Kafka");

/// What these needs take.
pub(super) fn rules(config: &KubernetesConfig, needs: &Needs) -> Vec<AccessRule> {
    let does = |actions: &[Action]| actions.iter().any(|action| needs.actions.contains(action));
    let ends = does(&[Action::Stop, Action::Start, Action::Kill]);
    let reads = needs.capabilities.contains(&Capability::Logs) || ends || does(&[Action::Restart]);
    let all = [
        (true, PODS),
        (may_exec(needs), EXEC),
        (reads, LOGS),
        (ends || does(&[Action::Restart]), DELETE),
        (ends, HOLD),
        (config.strimzi.is_some(), STRIMZI),
    ];
    all.into_iter().filter_map(|(needed, rule)| needed.then_some(rule)).collect()
}

/// Whether these needs take a shell in the containers. Without such a need none is opened, also where the user may.
pub(super) fn may_exec(needs: &Needs) -> bool {
    let inside = [Action::Pause, Action::Resume, Action::Kill];
    inside.iter().any(|action| needs.actions.contains(action)) || needs.capabilities.contains(&Capability::Usage)
}

/// The Role with these rules.
pub(super) fn role(namespace: &str, rules: &[AccessRule]) -> String {
    let mut text = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{ name: kscen, namespace: {namespace} }}\nrules:\n"
    );
    for AccessRule { group, resource, verbs, purpose } in rules {
        let verbs = verbs.join(", ");
        let _ =
            writeln!(text, "- {{ apiGroups: [\"{group}\"], resources: [{resource}], verbs: [{verbs}] }} # {purpose}");
    }
    text
}

/// Asks the API whether this user may do all of it.
///
/// # Errors
/// Something is not allowed: which verb on which resource.
pub(super) async fn check(kube: &Kube, rules: &[AccessRule]) -> EnvironmentResult<()> {
    let api: Api<SelfSubjectAccessReview> = Api::all(kube.client.clone());
    let mut missing = Vec::new();
    for rule in rules {
        for verb in rule.verbs {
            let (resource, subresource) = match rule.resource.split_once('/') {
                Some((resource, sub)) => (resource, Some(sub.to_owned())),
                None => (rule.resource, None),
            };
            let attributes = ResourceAttributes {
                namespace: Some(kube.namespace.clone()),
                group: Some(rule.group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some((*verb).to_owned()),
                ..ResourceAttributes::default()
            };
            let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
            let review = SelfSubjectAccessReview { spec, ..Default::default() };
            let what = "ask what this user may do";
            let answer = api.create(&PostParams::default(), &review).await;
            let answer = answer.map_err(|error| kube.explain(what, error))?;
            if !answer.status.is_some_and(|status| status.allowed) {
                missing.push(format!("`{verb}` on `{}`, {}", rule.resource, rule.purpose));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(EnvironmentError::Prerequisite {
        message: format!(
            "this user lacks rights in the namespace `{}` of {}: {}",
            kube.namespace,
            kube.server,
            missing.join("; ")
        ),
        remedy: "apply the Role that `kscen plan` prints, and bind it to the user".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn of(actions: &[Action]) -> Vec<&'static str> {
        let needs = Needs { actions: actions.iter().copied().collect(), ..Needs::default() };
        rules(&KubernetesConfig::default(), &needs).iter().map(|rule| rule.resource).collect()
    }

    #[test]
    fn nothing_is_asked_for_that_is_not_needed() {
        assert_eq!(of(&[]), ["pods"]);
        assert!(!may_exec(&Needs::default()), "nobody opens a shell to fill a chart");
        assert!(may_exec(&Needs { capabilities: BTreeSet::from([Capability::Usage]), ..Needs::default() }));
        assert_eq!(of(&[Action::Pause]), ["pods", "pods/exec"]);
        assert_eq!(of(&[Action::Restart]), ["pods", "pods/log", "pods"]);
        assert_eq!(of(&[Action::Kill]), ["pods", "pods/exec", "pods/log", "pods", "statefulsets"]);
        let strimzi = KubernetesConfig { strimzi: Some("shop".to_owned()), ..KubernetesConfig::default() };
        assert!(rules(&strimzi, &Needs::default()).contains(&STRIMZI));
    }

    #[test]
    fn a_role_is_read_as_it_is_meant() {
        let needs = Needs { actions: BTreeSet::from([Action::Kill]), ..Needs::default() };
        let text = role("shop", &rules(&KubernetesConfig::default(), &needs));
        let read: serde_json::Value = serde_yaml::from_str(&text).expect("YAML");
        let rules = read["rules"].as_array().expect("rules");
        assert_eq!(rules.len(), 5);
        assert!(rules.iter().all(|rule| rule["verbs"].as_array().is_some_and(|verbs| !verbs.is_empty())));
        assert_eq!(read["metadata"]["namespace"], "shop");
    }
}
