//! `kill -9` of the process that applied faults, at any instant, and the repair by another from what it wrote down.

use super::fixture::{Project, ready};
use kscen::testing::environment::docker::{DockerConfig, DockerStack, HealRecipe, heal_from};
use kscen::testing::environment::{Action, Endpoints, Environment, Lifecycle, Needs, NetworkFault};
use rand::RngExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often; a number in this variable asks for more.
const TIMES: &str = "KSCEN_CRASHES";
const PROJECT: &str = "KSCEN_CRASH_PROJECT";
const JOURNAL: &str = "KSCEN_CRASH_JOURNAL";

/// The process that dies: applies and undoes faults forever, and writes down how to undo each before it applies it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of containers_of_a_compose_project, which starts it as a process of its own"]
async fn victim() {
    let (Ok(project), Ok(journal)) = (std::env::var(PROJECT), std::env::var(JOURNAL)) else { return };
    let config = DockerConfig { compose: None, project, services: Default::default() };
    let stack = DockerStack::attach("docker", &config, Endpoints::default(), &Needs::kafka()).await.expect("attach");
    let (fault, journal) = (super::cut(), Path::new(&journal));
    loop {
        let network = stack.recipe_for_network(&fault).await.expect("a recipe");
        write(journal, std::slice::from_ref(&network));
        stack.disturb(&fault).await.expect("a cut");
        let pause = stack.recipe_for_action("kafka-1", Action::Pause).await.expect("a recipe").expect("needed");
        write(journal, &[network, pause]);
        stack.act("kafka-1", Action::Pause).await.expect("a pause");
        stack.act("kafka-1", Action::Resume).await.expect("a resume");
        stack.heal(&fault).await.expect("healing");
        let kill = stack.recipe_for_action("kafka-1", Action::Stop).await.expect("a recipe").expect("needed");
        write(journal, &[kill]);
        stack.act("kafka-1", Action::Stop).await.expect("a stop");
        stack.act("kafka-1", Action::Start).await.expect("a start");
        write(journal, &[]);
    }
}

/// Whole or not at all, as the undo journal is.
fn write(journal: &Path, recipes: &[HealRecipe]) {
    let next = journal.with_extension("next");
    std::fs::write(&next, serde_json::to_vec(recipes).expect("recipes are data")).expect("a journal");
    std::fs::rename(next, journal).expect("a journal");
}

/// Kills the victim at random instants; each time the stack is healed from the journal alone.
pub(crate) async fn any_instant(project: &Project, fault: &NetworkFault) {
    let times = std::env::var(TIMES).ok().and_then(|times| times.parse().ok()).unwrap_or(3);
    let folder = tempfile::tempdir().expect("a scratch folder");
    for time in 0..times {
        let journal = folder.path().join(format!("{time}.json"));
        let mut victim = start_victim(project, &journal);
        while !journal.exists() {
            assert!(victim.try_wait().expect("a child").is_none(), "the victim ended before its first fault");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let life = Duration::from_millis(rand::rng().random_range(0..4000));
        tokio::time::sleep(life).await;
        victim.kill().expect("SIGKILL");
        victim.wait().expect("a child");

        let recipes: Vec<HealRecipe> =
            serde_json::from_slice(&std::fs::read(&journal).expect("a journal")).expect("as written");
        let mut done = Vec::new();
        for recipe in recipes.iter().rev() {
            done.push(heal_from(recipe).await.unwrap_or_else(|error| panic!("killed after {life:?}: {error}")));
        }
        eprintln!("killed after {life:?}: {}", done.join(", "));
        let stack = project.attach(&Needs::kafka()).await;
        ready(&stack, &["kafka-1"]).await;
        assert_eq!(stack.state("kafka-1").await.expect("a state").lifecycle, Lifecycle::Running);
        stack.recipe_for_network(fault).await.expect("it is connected: it could be cut again");
        for recipe in &recipes {
            let again = heal_from(recipe).await.expect("healing");
            assert!(again.contains("was"), "nothing is left to do: {again}");
        }
    }
}

fn start_victim(project: &Project, journal: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "docker::crash::victim", "--ignored", "--nocapture"])
        .env(PROJECT, &project.name)
        .env(JOURNAL, journal)
        .stdout(Stdio::null())
        .spawn()
        .expect("a child")
}
