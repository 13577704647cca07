//! `kscen plan` shows by what means an environment carries out the same faults.

use crate::goldens::{compare, kscen, root};

const PROJECT: &str = "\
environments:
  containers:
    docker: { project: shop }
    kafka: { bootstrap: \"127.0.0.1:9\" }
    connect: { url: \"http://127.0.0.1:9\" }
    postgres: { url: \"postgres://127.0.0.1:9/app\" }
  pods:
    kubernetes: { namespace: shop, services: { kafka: app=kafka } }
    kafka: { bootstrap: \"127.0.0.1:9\" }
    allow: [faults]
";
const ON_PODS: &str = "\
name: What is possible in pods
steps:
  - pause: { service: kafka, for: 1s }
  - kill: { service: { leader_of: orders/0 }, for: 1s }
  - restart: kafka
  - stop: { service: kafka, for: 1s }
";

#[test]
fn a_plan_shows_the_means_of_its_environment() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    std::fs::write(folder.path().join("kscen.yaml"), PROJECT).expect("writes");
    std::fs::copy(root().join("tests/it/fixtures/faults.yaml"), folder.path().join("faults.yaml")).expect("a copy");
    for environment in ["local", "containers"] {
        let printed = kscen(folder.path(), &["plan", "--env", environment, "faults.yaml"]);
        assert_eq!(printed.code, Some(0), "{}", printed.stderr);
        let golden = root().join(format!("tests/goldens/plan-{environment}.txt"));
        assert_eq!(compare(&golden, &printed.stdout), None);
    }
}

#[test]
fn a_plan_prints_the_rights_that_it_takes_in_a_cluster() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    std::fs::write(folder.path().join("kscen.yaml"), PROJECT).expect("writes");
    std::fs::write(folder.path().join("pods.yaml"), ON_PODS).expect("writes");
    let printed = kscen(folder.path(), &["plan", "--env", "pods", "pods.yaml"]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    assert_eq!(compare(&root().join("tests/goldens/plan-pods.txt"), &printed.stdout), None);
    std::fs::write(folder.path().join("wipe.yaml"), "name: Too much\nsteps: [{ wipe: kafka }]\n").expect("writes");
    let refused = kscen(folder.path(), &["plan", "--env", "pods", "wipe.yaml"]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("error[cannot-on-kubernetes]") && refused.stderr.contains("wipe.yaml:2"),
        "{}",
        refused.stderr
    );
}
