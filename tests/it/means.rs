//! `kscen plan` shows by what means an environment carries out the same faults.

use crate::goldens::{compare, kscen, root};

const PROJECT: &str = "\
environments:
  containers:
    docker: { project: shop }
    kafka: { bootstrap: \"127.0.0.1:9\" }
    connect: { url: \"http://127.0.0.1:9\" }
    postgres: { url: \"postgres://127.0.0.1:9/app\" }
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
