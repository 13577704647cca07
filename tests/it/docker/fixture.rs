//! A compose project of the test's own, on free ports, removed with its data at the end.

use crate::turns;
use kscen::testing::environment::docker::{DockerConfig, DockerStack};
use kscen::testing::environment::{Endpoints, Environment, Needs};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// Projects that this process has brought up: each gets a name of its own.
static PROJECTS: AtomicU32 = AtomicU32::new(0);

/// The compose project; `compose down` when dropped.
pub(crate) struct Project {
    pub(crate) name: String,
    compose: Vec<&'static str>,
    file: PathBuf,
    variables: Vec<(&'static str, String)>,
}

/// Why the tests cannot run here; in CI that is a failure, elsewhere a notice.
fn unable(reason: &str) -> Option<Project> {
    assert!(std::env::var("CI").is_err(), "the Docker tests cannot run in CI: {reason}");
    eprintln!("\nSKIPPED: the Docker environment was not tested: {reason}\n");
    None
}

fn succeeds(command: &[&str]) -> bool {
    Command::new(command[0]).args(&command[1..]).output().is_ok_and(|output| output.status.success())
}

/// Whether a test on containers of that image cannot run here, which is said aloud.
pub(crate) fn is_missing(image: &str) -> bool {
    let missing = !succeeds(&["docker", "image", "inspect", image]);
    if missing {
        unable(&format!("no engine with the image {image}"));
    }
    missing
}

impl Project {
    /// Brings Kafka, PostgreSQL and Connect up; `None` where there is no engine, said aloud.
    pub(crate) fn up() -> Option<Self> {
        turns::most();
        let images = ["kscen/kafka:3.6.1", "kscen/connect:3.6.1", "kscen/postgres:15"];
        let [kafka, connect, postgres] = images;
        let variables = vec![
            ("KAFKA_IMAGE", kafka.to_owned()),
            ("CONNECT_IMAGE", connect.to_owned()),
            ("POSTGRES_IMAGE", postgres.to_owned()),
            ("KAFKA_PORT", free_port()),
            ("CONNECT_PORT", free_port()),
            ("POSTGRES_PORT", free_port()),
        ];
        Self::begin("stack/docker-compose.yml", &images, variables, &["kafka", "postgres", "connect"])
    }

    /// Brings the brokers of `stack/own-brokers.yml` up; `None` where there is no engine, said aloud.
    pub(crate) fn own_brokers() -> Option<Self> {
        turns::most();
        let image = "kscen/kafka:3.6.1";
        let variables = vec![
            ("KAFKA_IMAGE", image.to_owned()),
            ("BROKER_A_PORT", free_port()),
            ("BROKER_B_PORT", free_port()),
            ("BROKER_C_PORT", free_port()),
        ];
        Self::begin("stack/own-brokers.yml", &[image], variables, &[])
    }

    /// Brings these services of a compose file up, all of them where none is named.
    fn begin(file: &str, images: &[&str], variables: Vec<(&'static str, String)>, services: &[&str]) -> Option<Self> {
        if !succeeds(&["docker", "version"]) {
            return unable("no Docker engine answers; .ci/docker-engine installs and starts one");
        }
        if let Some(image) = images.iter().find(|image| !succeeds(&["docker", "image", "inspect", image])) {
            return unable(&format!("there is no image {image}; stack/build-images.sh builds it"));
        }
        let v2: &[&str] = &["docker", "compose"];
        let commands = [v2, &["docker-compose"]];
        let Some(compose) = commands.into_iter().find(|command| succeeds(&[command, &["version"][..]].concat())) else {
            return unable("there is neither `docker compose` nor `docker-compose`");
        };
        let project = Self {
            name: format!("kscen-test-{}-{}", std::process::id(), PROJECTS.fetch_add(1, Ordering::Relaxed)),
            compose: compose.to_vec(),
            file: Path::new(env!("CARGO_MANIFEST_DIR")).join(file),
            variables,
        };
        let output = project.compose(&[&["up", "-d"][..], services].concat());
        assert!(output.status.success(), "compose up: {}", String::from_utf8_lossy(&output.stderr));
        Some(project)
    }

    /// The port that a variable of the compose file says.
    pub(crate) fn port(&self, variable: &str) -> &str {
        self.variables.iter().find(|(known, _)| *known == variable).map(|(_, port)| port.as_str()).unwrap_or_default()
    }

    pub(crate) fn compose(&self, arguments: &[&str]) -> Output {
        Command::new(self.compose[0])
            .args(&self.compose[1..])
            .args(["-p", &self.name, "-f"])
            .arg(&self.file)
            .args(arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("compose was found above")
    }

    /// A `kscen.yaml` whose environment `docker` is this project.
    pub(crate) fn project_file(&self) -> String {
        format!(
            "environments:\n  docker:\n    docker: {{ project: {}, compose: \"{}\" }}\n    \
             kafka: {{ bootstrap: \"127.0.0.1:{}\" }}\n    connect: {{ url: \"http://127.0.0.1:{}\" }}\n    \
             postgres: {{ url: \"postgres://postgres:postgres@127.0.0.1:{}/app\" }}\n",
            self.name,
            self.file.display(),
            self.port("KAFKA_PORT"),
            self.port("CONNECT_PORT"),
            self.port("POSTGRES_PORT"),
        )
    }

    pub(crate) fn config(&self) -> DockerConfig {
        DockerConfig { compose: Some(self.file.clone()), project: self.name.clone(), services: BTreeMap::new() }
    }

    /// Attaches without configured endpoints: they have to be found.
    pub(crate) async fn attach(&self, needs: &Needs) -> DockerStack {
        match DockerStack::attach("docker", &self.config(), Endpoints::default(), needs).await {
            Ok(stack) => stack,
            Err(error) => panic!("attach: {error}; remedy: {:?}", error.remedy()),
        }
    }

    /// Container name of a service of this project.
    pub(crate) fn container(&self, service: &str) -> String {
        let filter = [
            format!("label=com.docker.compose.project={}", self.name),
            format!("label=com.docker.compose.service={service}"),
        ];
        docker(&["ps", "-a", "--filter", &filter[0], "--filter", &filter[1], "--format", "{{.Names}}"])
    }

    /// Makes a further container with the labels of this project, for stacks that are not in order.
    pub(crate) fn add(&self, service: &str, folder: &str, name: &str) {
        let project = format!("com.docker.compose.project={}", self.name);
        let service = format!("com.docker.compose.service={service}");
        let folder = format!("com.docker.compose.project.working_dir={folder}");
        let labels = ["--label", &project, "--label", &service, "--label", &folder];
        docker(&[&["run", "-d", "--name", name], &labels[..], &["kscen/kafka:3.6.1", "sleep", "600"]].concat());
    }

    /// The folder label that compose put on this project's containers.
    pub(crate) fn folder(&self) -> String {
        let format = "{{index .Config.Labels \"com.docker.compose.project.working_dir\"}}";
        docker(&["inspect", "--format", format, &self.container("kafka")])
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.compose(&["down", "-v", "-t", "1"]);
    }
}

/// Runs the docker client, which has to succeed.
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker was found above");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address").port().to_string()
}

/// Waits until all named services are ready, naming the one that is not.
pub(crate) async fn ready(stack: &DockerStack, services: &[&str]) {
    for service in services {
        if let Err(error) = stack.wait_ready(service, std::time::Duration::from_secs(90)).await {
            panic!("{error}\n{}", error.log().join("\n"));
        }
    }
}
