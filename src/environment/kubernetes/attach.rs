//! Finding the pods by their labels and holding them against what a plan needs.

use super::access;
use super::claim::{self, Claim};
use super::cluster::Kube;
use super::config::KubernetesConfig;
use super::hold::SetTurns;
use super::member::{PodMember, crowded};
use super::own;
use super::pod::SeenPod;
use super::pods::Pods;
use super::stack::PodStack;
use super::strimzi;
use crate::environment::{
    Endpoints, EnvironmentError, EnvironmentInfo, EnvironmentKind, EnvironmentResult, Needs, ServiceId, Site,
};
use crate::moment::poll;
use crate::wire::{WireCluster, brokers};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// How long the brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long brokers that were started just now may take to find each other.
const COMPLETE: Duration = Duration::from_secs(30);
/// What helps where a pod is held back.
const HELD: &str = "`kscen undo`, where the run was killed that holds it back; where that has nothing to undo, `kubectl delete pod` lets it \
                    go: its StatefulSet makes another one";
/// Between two questions.
const AGAIN: Duration = Duration::from_millis(500);

impl PodStack {
    /// Attaches to the pods that run.
    ///
    /// # Errors
    /// No such cluster, a right that is missing, a part without pods, a pod that does not run, brokers that do not answer: each with
    /// its remedy.
    pub(super) async fn attach(config: &KubernetesConfig, site: &Site, needs: &Needs) -> EnvironmentResult<Self> {
        let kube = config.whereabouts(site).connect().await?;
        let version = kube.client.apiserver_version().await;
        let version = version.map_err(|error| kube.explain("ask the cluster for its version", error))?.git_version;
        access::check(&kube, &access::rules(config, needs)).await?;
        let mut endpoints = site.endpoints.clone();
        if let Some(kafka) = config.strimzi.as_ref().filter(|_| endpoints.bootstrap.is_empty()) {
            endpoints.bootstrap = strimzi::bootstrap(&kube, kafka).await?;
        }
        let (mut members, parts) = find(&kube, config, needs).await?;
        check(&members, needs)?;
        own::refuse_twice(&members)?;
        own::refuse_strangers(&endpoints, &members, &kube.namespace)?;
        if needs.brokers > 0 {
            name_nodes(&mut members, &endpoints, &kube, needs).await?;
        }
        let brokers = members.iter().filter(|member| matches!(member.id, ServiceId::Broker(_))).count();
        let mut facts = BTreeMap::from([
            ("cluster".to_owned(), format!("{} ({version})", kube.server)),
            ("namespace".to_owned(), kube.namespace.clone()),
        ]);
        for member in &members {
            let Some(pod) = member.book().pod else { continue };
            let image = pod.definition().and_then(|container| container.image.clone()).unwrap_or_default();
            facts.insert(format!("image of {}", member.name), image);
            facts.insert(format!("pod of {}", member.name), pod.life().unwrap_or_else(|| pod.name().to_owned()));
            if let Some(ends) = pod.pause_ends() {
                facts.insert(format!("pause of {}", member.name), ends);
            }
        }
        let info = EnvironmentInfo {
            name: site.name.clone(),
            kind: EnvironmentKind::of::<KubernetesConfig>(),
            kafka_version: None,
            brokers: u32::try_from(brokers).unwrap_or(u32::MAX),
            facts,
        };
        let may_exec = access::may_exec(needs);
        Ok(Self { kube, members, parts, turns: SetTurns::default(), may_exec, info, endpoints })
    }
}

/// The services, in start order, and the pods of each part.
async fn find(
    kube: &Kube,
    config: &KubernetesConfig,
    needs: &Needs,
) -> EnvironmentResult<(Vec<PodMember>, Vec<Arc<Pods>>)> {
    let (kafka, controllers) = config.kafka();
    let services = &config.services;
    let single = [
        (ServiceId::Postgres, &services.postgres),
        (ServiceId::Connect, &services.connect),
        (ServiceId::KafkaUi, &services.kafka_ui),
    ];
    let (mut members, mut parts) = (Vec::new(), Vec::new());
    type Numbered = fn(u32) -> ServiceId;
    let numbered = [(controllers, ServiceId::Controller as Numbered), (kafka, ServiceId::Broker)];
    for (selector, named) in numbered {
        let Some(selector) = selector else { continue };
        let pods = Arc::new(Pods::follow(kube, &selector, config.container.clone()).await?);
        let places = places(&pods.all()).map_err(|several| crowded(&named(1).to_string(), &several))?;
        if places.is_empty() && named(1) == ServiceId::Broker(1) && needs.brokers > 0 {
            return Err(none(kube, "Kafka", &selector));
        }
        for (number, place) in (1..).zip(places) {
            members.push(PodMember::new(named(number), place, Arc::clone(&pods)));
        }
        parts.push(pods);
    }
    for (id, selector) in single {
        let Some(selector) = selector else { continue };
        let pods = Arc::new(Pods::follow(kube, selector, config.container.clone()).await?);
        match only(&pods.all()).map_err(|several| crowded(&id.to_string(), &several))? {
            Some(place) => members.push(PodMember::new(id, place, Arc::clone(&pods))),
            None if needs.services.contains(&id) => return Err(none(kube, &id.to_string(), selector)),
            None => {}
        }
        parts.push(pods);
    }
    Ok((members, parts))
}

fn none(kube: &Kube, part: &str, selector: &str) -> EnvironmentError {
    EnvironmentError::Prerequisite {
        message: format!(
            "no pod in the namespace `{}` of {} has the labels {selector}, by which {part} is to be found",
            kube.namespace, kube.server
        ),
        remedy: format!("`kubectl get pods -n {} --show-labels` shows those that there are", kube.namespace),
    }
}

/// The places of these pods, in the order of their names, each of one service. What a Job has left is none.
///
/// # Errors
/// The pods of one place, where several are there to stay.
fn places(pods: &[SeenPod]) -> Result<Vec<String>, Vec<String>> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !(pod.is_over() && pod.owner().is_some_and(|owner| owner.kind == "Job"))) {
        let lasting = places.entry(pod.place()).or_default();
        lasting.extend(pod.is_lasting().then(|| pod.name().to_owned()));
    }
    if let Some(several) = places.values().find(|lasting| lasting.len() > 1) {
        return Err(several.clone());
    }
    let mut places: Vec<String> = places.into_keys().collect();
    places.sort_by_key(|place| natural(place));
    Ok(places)
}

/// The place of a service that one pod is: of that which is there to stay, else the only one that there is.
///
/// # Errors
/// The pods, where several are there to stay.
fn only(pods: &[SeenPod]) -> Result<Option<String>, Vec<String>> {
    let lasting: Vec<&SeenPod> = pods.iter().filter(|pod| pod.is_lasting()).collect();
    match lasting.as_slice() {
        [one] => Ok(Some(one.place())),
        [] => match places(pods)?.as_slice() {
            [] => Ok(None),
            [place] => Ok(Some(place.clone())),
            several => Err(several.to_vec()),
        },
        several => Err(several.iter().map(|pod| pod.name().to_owned()).collect()),
    }
}

/// `kafka-10` comes after `kafka-2`.
fn natural(name: &str) -> (String, u64) {
    let digits = name.chars().rev().take_while(char::is_ascii_digit).count();
    let (stem, number) = name.split_at(name.len() - digits);
    (stem.to_owned(), number.parse().unwrap_or(0))
}

/// Holds what was found against what is needed.
fn check(members: &[PodMember], needs: &Needs) -> EnvironmentResult<()> {
    let named = |id: &&ServiceId| !matches!(id, ServiceId::Broker(_) | ServiceId::Controller(_));
    if let Some(missing) =
        needs.services.iter().filter(named).find(|id| !members.iter().any(|member| member.id == **id))
        && !needs.actions.is_empty()
    {
        return Err(EnvironmentError::Prerequisite {
            message: format!("by which labels the pod of {missing} is found is not said"),
            remedy: "add it to `kubernetes: { services: … }` of the environment in kscen.yaml".to_owned(),
        });
    }
    let needed = |member: &&PodMember| {
        if member.is_node() { needs.brokers > 0 } else { needs.services.contains(&member.id) }
    };
    let down = members.iter().filter(needed).filter_map(|member| {
        let book = member.book();
        let Some(pod) = book.pod else { return Some((format!("{} has no pod", member.name), false)) };
        let why = pod.why_down()?;
        Some((format!("{}: {why}", member.name), pod.is_held()))
    });
    let down: Vec<(String, bool)> = down.collect();
    if down.is_empty() {
        return Ok(());
    }
    let held = down.iter().any(|(_, held)| *held);
    let words: Vec<String> = down.into_iter().map(|(words, _)| words).collect();
    Err(EnvironmentError::Prerequisite {
        message: format!("not all of its pods run: {}", words.join("; ")),
        remedy: if held { HELD } else { "`kubectl describe pod` tells what the cluster tried" }.to_owned(),
    })
}

/// Which broker of the cluster each pod is. Where anything is done to them, each has to be known for sure.
///
/// # Errors
/// No broker answers, or they are not those in the pods.
async fn name_nodes(
    members: &mut [PodMember],
    endpoints: &Endpoints,
    kube: &Kube,
    needs: &Needs,
) -> EnvironmentResult<()> {
    let (namespace, careful) = (kube.namespace.as_str(), !needs.actions.is_empty());
    let bootstrap = &endpoints.bootstrap;
    let failed = |error: &dyn std::fmt::Display| EnvironmentError::Away {
        message: format!("the brokers at {bootstrap} cannot be used: {error}"),
        remedy: "check `kafka.bootstrap` of this environment: it has to be an address that this machine reaches"
            .to_owned(),
    };
    let cluster = WireCluster::new(&endpoints.connection(), PATIENCE).map_err(|error| failed(&error.in_full()))?;
    let is_broker = |member: &&PodMember| matches!(member.id, ServiceId::Broker(_));
    let found: &[PodMember] = members;
    let asked = poll(AGAIN, COMPLETE, || async {
        let described = brokers::describe(&cluster).await.map_err(|error| failed(&error.in_full()))?;
        let claim = |member: &PodMember| Some(Claim::of(member, member.book().pod.as_ref()?));
        let claims: Vec<Claim> = found.iter().filter(is_broker).filter_map(claim).collect();
        let resolved = own::resolved(&described).await;
        Ok::<_, EnvironmentError>(match own::assign(&described, &resolved, &claims, (namespace, careful)) {
            Ok(ids) => {
                let names = claims.iter().map(|claim| claim.name().to_owned());
                ControlFlow::Break((described, names.zip(ids).collect::<BTreeMap<_, _>>()))
            }
            Err(why) => ControlFlow::Continue(why),
        })
    });
    let (described, ids) = match asked.await? {
        ControlFlow::Break(found) => found,
        ControlFlow::Continue(why) => return Err(own::foreign(&why, bootstrap, namespace)),
    };
    for member in members.iter_mut() {
        let Some(pod) = member.book().pod else { continue };
        if matches!(member.id, ServiceId::Broker(_)) {
            member.node_id = ids.get(&member.name).copied();
            member.address = member.node_id.and_then(|id| described.brokers.get(&id)).map(ToString::to_string);
        } else {
            member.node_id = claim::node_id(&pod);
        }
    }
    if careful && access::may_exec(needs) {
        ask_data(members, kube, (described.id.as_str(), bootstrap.as_str())).await?;
    }
    Ok(())
}

/// Holds the brokers against what stands in their data, where a shell is needed in containers anyway. Where they cannot be asked, their
/// addresses have to do.
///
/// # Errors
/// Data of another cluster or broker.
async fn ask_data(members: &[PodMember], kube: &Kube, (cluster, bootstrap): (&str, &str)) -> EnvironmentResult<()> {
    let brokers = members.iter().filter(|member| matches!(member.id, ServiceId::Broker(_)));
    for (member, node) in brokers.filter_map(|member| Some((member, member.node_id?))) {
        let Ok(answer) = member.ask(kube, "meta").await else { continue };
        if let Some(why) = claim::denied(&answer, (cluster, node)) {
            let why = format!("{} (pod {}): {why}", member.name, member.place);
            return Err(own::foreign(&why, bootstrap, &kube.namespace));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::pod::tests::pod;
    use super::*;
    use serde_json::json;

    fn named(name: &str, owner: (&str, &str), phase: &str) -> SeenPod {
        let mut seen = pod(json!({ "containers": [{ "name": "a" }] }), json!({ "phase": phase }));
        (seen.pod.metadata.name, seen.pod.metadata.uid) = (Some(name.to_owned()), Some(name.to_owned()));
        let owners = seen.pod.metadata.owner_references.as_mut().expect("an owner");
        (owners[0].kind, owners[0].name) = (owner.0.to_owned(), owner.1.to_owned());
        seen
    }

    #[test]
    fn a_service_is_one_pod_that_is_there_to_stay() {
        let connect = |name: &str, phase: &str| named(name, ("ReplicaSet", "connect-7d9f"), phase);
        let (first, second) = (connect("connect-7d9f-a", "Running"), connect("connect-7d9f-b", "Running"));
        let several = vec!["connect-7d9f-a".to_owned(), "connect-7d9f-b".to_owned()];
        assert_eq!(only(&[first.clone(), second.clone()]), Err(several.clone()), "of one Deployment");
        assert_eq!(places(&[first.clone(), second]), Err(several));
        let evicted = connect("connect-7d9f-z", "Failed");
        assert_eq!(only(&[first.clone(), evicted.clone()]), Ok(Some("connect".to_owned())));
        assert_eq!(only(&[evicted]), Ok(Some("connect".to_owned())), "it does not run, which is told");
        let done = named("connect-init-x", ("Job", "connect-init"), "Succeeded");
        assert_eq!(only(&[first.clone(), done.clone()]), Ok(Some("connect".to_owned())));
        let done = std::slice::from_ref(&done);
        assert_eq!((only(done), places(done)), (Ok(None), Ok(Vec::new())));
        let other = named("debezium-5c-a", ("ReplicaSet", "debezium-5c"), "Running");
        assert!(only(&[first, other]).is_err_and(|several| several.len() == 2));
        let set = |name: &str| named(name, ("StatefulSet", "kafka"), "Running");
        let found = places(&[set("kafka-10"), set("kafka-2")]);
        assert_eq!(found, Ok(vec!["kafka-2".to_owned(), "kafka-10".to_owned()]));
    }

    #[test]
    fn pods_are_counted_in_the_order_of_their_numbers() {
        let mut names = ["kafka-10", "kafka-2", "a-3", "kafka"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["a-3", "kafka", "kafka-2", "kafka-10"]);
    }
}
