//! Undo acts on the very container that was disturbed, by its id and its project, and repairs nothing but the fault. A wipe erases what is
//! the container's own, and nothing else.

use super::fixture::{docker, is_missing};
use kscen::testing::environment::docker::{DockerConfig, DockerStack, HealRecipe, heal_from};
use kscen::testing::environment::{Action, Capability, Endpoints, Environment, Needs};
use serde_json::json;

const PROJECT: &str = "--label=com.docker.compose.project";
const SERVICE: &str = "--label=com.docker.compose.service=idle";

/// Containers that do nothing, removed at the end whatever happens.
struct Idle(Vec<String>);

impl Idle {
    /// Starts one; returns its id.
    fn start(&mut self, name: &str, labels: &[&str]) -> String {
        let run = [&["run", "-d", "--name", name], labels, &["kscen/kafka:3.6.1", "sleep", "600"]].concat();
        let id = docker(&run).trim().to_owned();
        self.0.push(id.clone());
        id
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        for id in &self.0 {
            let _ = std::process::Command::new("docker").args(["rm", "-f", "-v", id]).output();
        }
    }
}

fn status(id: &str) -> String {
    docker(&["inspect", "--format", "{{.State.Status}}", id]).trim().to_owned()
}

#[tokio::test]
async fn undo_acts_on_the_very_container_that_was_disturbed() {
    if is_missing("kscen/kafka:3.6.1") {
        return;
    }
    let name = format!("kscen-idle-{}", std::process::id());
    let project = format!("{PROJECT}={name}");
    let mut idle = Idle(Vec::new());
    let disturbed = idle.start(&name, &[&project, SERVICE]);
    docker(&["pause", &disturbed]);
    let engine = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let recipe = |id: &str, repair: &str| -> HealRecipe {
        let recipe = json!({ "engine": engine, "project": name, "service": "idle", "container": name, "id": id, "repair": repair });
        serde_json::from_value(recipe).expect("as the journal holds it")
    };

    // Somebody puts another container under its name, with and without the labels of the project.
    docker(&["rename", &disturbed, &format!("{name}-moved")]);
    for labels in [&[][..], &[project.as_str(), SERVICE]] {
        let stranger = idle.start(&name, labels);
        docker(&["pause", &stranger]);
        for repair in ["resume", "run"] {
            let done = heal_from(&recipe(&disturbed, repair)).await.expect("healing");
            assert_eq!((status(&disturbed).as_str(), status(&stranger).as_str()), ("running", "paused"), "{done}");
            docker(&["pause", &disturbed]);
        }
        docker(&["unpause", &disturbed]);
        docker(&["pause", &disturbed]);
        docker(&["rm", "-f", "-v", &stranger]);
    }

    // What somebody has stopped is not started by the undoing of a pause.
    docker(&["unpause", &disturbed]);
    docker(&["kill", &disturbed]);
    heal_from(&recipe(&disturbed, "resume")).await.expect("healing");
    assert_eq!(status(&disturbed), "exited");

    // One that is gone leaves nothing to undo, whoever has its name now.
    docker(&["rm", "-f", "-v", &disturbed]);
    let stranger = idle.start(&name, &[&project, SERVICE]);
    docker(&["pause", &stranger]);
    let done = heal_from(&recipe(&disturbed, "run")).await.expect("healing");
    assert!(done.contains("nothing to undo") && status(&stranger) == "paused", "{done}");
}

/// Compose gives a container that it makes again the unnamed volume of the one before, by its name.
#[tokio::test]
async fn a_wipe_erases_a_volume_without_a_name_that_was_carried_over() {
    if is_missing("kscen/kafka:3.6.1") {
        return;
    }
    let name = format!("kscen-carried-{}", std::process::id());
    let volume = format!("{:064x}", std::process::id());
    let (project, mount) = (format!("{PROJECT}={name}"), format!("--volume={volume}:/var/lib/kafka/data"));
    let mut idle = Idle(vec![name.clone()]);
    idle.start(&name, &[&project, "--label=com.docker.compose.service=kafka", &mount]);
    docker(&["exec", "-u", "root", &name, "touch", "/var/lib/kafka/data/recovery-point-offset-checkpoint"]);
    let config = DockerConfig { compose: None, project: name.clone(), services: Default::default() };
    let needs = Needs::kafka().with(Capability::Wipe);
    let stack = DockerStack::attach("docker", &config, Endpoints::default(), &needs).await.expect("attach");
    let effect = stack.act("kafka-1", Action::Wipe).await.expect("a wipe");
    assert!(effect.proof.contains(&volume), "it is named: {}", effect.proof);
    let files = docker(&["exec", &name, "ls", "/var/lib/kafka/data"]);
    assert!(!files.contains("checkpoint"), "{files}");
    drop(idle);
    docker(&["volume", "rm", &volume]);
}

#[tokio::test]
async fn a_wipe_refuses_data_in_a_folder_of_the_host_wherever_it_is_mounted() {
    if is_missing("kscen/kafka:3.6.1") {
        return;
    }
    let name = format!("kscen-bound-{}", std::process::id());
    let folder = tempfile::tempdir().expect("a scratch folder");
    std::fs::write(folder.path().join("meta.properties"), "cluster.id=x\n").expect("a file");
    let (project, mount) = (format!("{PROJECT}={name}"), format!("--volume={}:/elsewhere", folder.path().display()));
    let mut idle = Idle(Vec::new());
    let id = idle.start(&name, &[&project, "--label=com.docker.compose.service=kafka", &mount]);
    let config = DockerConfig { compose: None, project: name.clone(), services: Default::default() };
    let needs = Needs::kafka().with(Capability::Wipe);
    let stack = DockerStack::attach("docker", &config, Endpoints::default(), &needs).await.expect("attach");
    let error = stack.act("kafka-1", Action::Wipe).await.expect_err("only volumes are erased");
    assert!(error.to_string().contains("/elsewhere"), "{error}");
    assert_eq!(status(&id), "running", "nothing was done to it");
}
