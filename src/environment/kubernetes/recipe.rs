//! How to repair what a fault broke, as data: written down before the fault, usable by another process after it.

use super::cluster::{Kube, Whereabouts};
use super::hold::PodHold;
use super::job;
use super::pod::{SeenPod, short};
use super::shell::{Shell, states};
use crate::environment::{EnvironmentError, EnvironmentResult};
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What brings one service back, whatever state it is found in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PodRecipe {
    pub(super) at: Whereabouts,
    /// The name of the pod, or of the Job.
    pub(super) pod: String,
    pub(super) repair: PodRepair,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PodRepair {
    /// The processes of this container go on.
    GoOn {
        /// The container's name in the pod.
        container: String,
        /// Its id: another one was never stopped.
        id: String,
    },
    /// A successor that is held back is let go, and the set gets its strategy back.
    LetGo {
        /// The StatefulSet.
        set: String,
    },
    /// Its owner starts another one by itself.
    Nothing,
    /// The Job is removed, with its pods.
    Remove,
}

/// Between two looks: an order that was on its way when its sender was killed may still arrive.
const SETTLE: Duration = Duration::from_millis(500);

/// Repairs what the fault of this recipe broke. Does nothing where nothing is broken, so it may be repeated. Returns what was done, in
/// words.
///
/// # Errors
/// The API does not answer, or refuses.
pub(super) async fn heal_from(recipe: &PodRecipe) -> EnvironmentResult<String> {
    let kube = recipe.at.connect().await?;
    match &recipe.repair {
        PodRepair::GoOn { container, id } => {
            let first = go_on(&kube, &recipe.pod, container, id).await?;
            tokio::time::sleep(SETTLE).await;
            let again = go_on(&kube, &recipe.pod, container, id).await?;
            Ok(if first.starts_with("resumed") { first } else { again })
        }
        PodRepair::LetGo { set } => Ok(match PodHold::of(&kube, set).release(&recipe.pod).await? {
            true => format!("started pod {}", recipe.pod),
            false => format!("pod {} was not held back", recipe.pod),
        }),
        PodRepair::Remove => Ok(match job::remove(&kube, &recipe.pod).await? {
            true => "removed".to_owned(),
            false => "it was gone".to_owned(),
        }),
        PodRepair::Nothing => Ok(format!("nothing to undo: the cluster starts pod {} by itself", recipe.pod)),
    }
}

/// Lets the processes of a container go on. Does nothing where they do, or where another container runs. Returns what was done, in words.
///
/// # Errors
/// The API does not answer, or refuses; they do not go on.
pub(super) async fn go_on(kube: &Kube, pod: &str, container: &str, id: &str) -> EnvironmentResult<String> {
    let api: Api<Pod> = Api::namespaced(kube.client.clone(), &kube.namespace);
    let found = api.get_opt(pod).await.map_err(|error| kube.explain(&format!("look at pod {pod}"), error))?;
    let found = found.map(|pod| SeenPod::new(pod, Some(container)));
    let Some(found) = found.filter(|found| found.running() == Some(id)) else {
        return Ok(format!("nothing to undo: the container {} of pod {pod} no longer runs", short(id)));
    };
    let mut shell = Shell::open(kube, &found).await?;
    let ended = || EnvironmentError::failed(format!("the shell in pod {pod} ends without an answer"));
    let before = shell.ask("look").await.ok_or_else(ended)?;
    let stopped = states(&before).unwrap_or_default().iter().any(|own| own.state == 'T');
    if !stopped {
        return Ok(format!("pod {pod} was not paused"));
    }
    let after = shell.ask("go").await.ok_or_else(ended)?;
    if states(&after).unwrap_or_default().iter().any(|own| own.state == 'T') {
        return Err(EnvironmentError::NoEffect { service: pod.to_owned(), observed: format!("SIGCONT: {after}") });
    }
    Ok(format!("resumed pod {pod}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_holds_no_secret_and_is_read_again() {
        let at = Whereabouts { kubeconfig: Some("/k".into()), context: Some("c".into()), namespace: Some("n".into()) };
        let repair = PodRepair::GoOn { container: "kafka".to_owned(), id: "containerd://1".to_owned() };
        let recipe = PodRecipe { at, pod: "kafka-0".to_owned(), repair };
        let text = serde_json::to_string(&recipe).expect("data");
        assert_eq!(serde_json::from_str::<PodRecipe>(&text).expect("as written"), recipe);
        assert!(!text.contains("token") && !text.contains("key"), "{text}");
    }
}
