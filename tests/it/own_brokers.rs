//! The recipe for brokers of any name, as docs/own-stack.md shows it.

use crate::docker::fixture::Project;
use crate::goldens::{kscen, root};
use crate::suites::{Kscen, assert_passes, scenarios};
use std::time::{Duration, Instant};

/// The project file that the page shows for `stack/own-brokers.yml`.
fn shown() -> String {
    let page = std::fs::read_to_string(root().join("docs/own-stack.md")).expect("a page");
    let mut blocks = page.split("\n```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.find(|block| block.contains("compose: stack/own-brokers.yml")).expect("the page shows it").to_owned()
}

#[test]
fn the_recipe_names_the_services_of_its_compose_file() {
    let compose = std::fs::read_to_string(root().join("stack/own-brokers.yml")).expect("a compose file");
    for name in ["broker-a", "broker-b", "broker-c"] {
        assert!(compose.contains(&format!("\n  {name}:")) && shown().contains(&format!(": {name}")), "{name}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("kscen.yaml"), shown()).expect("writes");
    std::fs::copy(scenarios().join("leader-loss.yaml"), folder.path().join("lost.yaml")).expect("a copy");
    let printed = kscen(folder.path(), &["check", "--env", "mine", "lost.yaml"]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
}

#[test]
fn brokers_of_any_name_lose_a_leader_and_no_message() {
    let Some(project) = Project::own_brokers() else { return };
    let kscen = Kscen::new();
    let addresses =
        ["BROKER_A_PORT", "BROKER_B_PORT", "BROKER_C_PORT"].map(|name| format!("127.0.0.1:{}", project.port(name)));
    let (page, bootstrap) = (shown(), "127.0.0.1:9092,127.0.0.1:9192,127.0.0.1:9292");
    assert!(page.contains(bootstrap) && page.contains("project: shop"), "{page}");
    // Of the page everything but the project's name and its ports.
    let text = page.replace("project: shop", &format!("project: {}", project.name));
    let text = text.replace(bootstrap, &addresses.join(","));
    std::fs::write(kscen.folder().join("kscen.yaml"), text).expect("writes");
    // Three brokers that start on a busy machine take longer than a run waits for them; each question waits by itself.
    let is_whole = || {
        let printed = kscen.run(&["status", "--env", "mine"], &[]).stdout;
        String::from_utf8_lossy(&printed).lines().filter(|line| line.trim_start().starts_with("broker ")).count() == 3
    };
    let deadline = Instant::now() + Duration::from_secs(240);
    while !is_whole() {
        assert!(Instant::now() < deadline, "the brokers do not find each other");
    }
    let file = scenarios().join("leader-loss.yaml");
    assert_passes(&kscen.run(&["run", "--env", "mine", &file.to_string_lossy()], &[]));
}
