//! The API against a client of another make, which is made of the document that the service serves.

use super::served::Served;
use super::{RECORDS, fill};
use crate::goldens::root;
use crate::migrating::commit;
use crate::program::{Project, skipped};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::process::Command;

/// Whether Python can hold values against schemas; where it cannot, that is said loudly, and in CI it is a failure.
fn has_validator(test: &str) -> bool {
    let asked = Command::new("python3").args(["-c", "import jsonschema"]).output();
    let has = asked.is_ok_and(|output| output.status.success());
    let remedy = "pip install -r tests/cases/tools/requirements.txt";
    assert!(has || std::env::var_os("CI").is_none(), "python3 lacks jsonschema: {remedy}");
    if !has {
        eprintln!("SKIPPED {test}: python3 lacks jsonschema: {remedy}");
    }
    has
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_made_of_the_document_calls_every_operation() {
    let name = "a_client_that_is_made_of_the_document_calls_every_operation";
    if skipped(name) || !has_validator(name) {
        return;
    }
    let project = Project::fast();
    let up = project.run(&["up"]).exits(0);
    fill(up.out.trim()).await;
    let properties = BTreeMap::from([("bootstrap.servers".to_owned(), up.out.trim().to_owned())]);
    commit(&properties, "billing", "orders", RECORDS / 2);
    let served = Served::start(&project);
    let client = root().join("tests/it/serving/client.py");
    let arguments = [served.url(), &served.cluster, "orders", "billing"];
    let output = Command::new("python3").arg(client).args(arguments).output().expect("python3 runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("all as described"), "{said}");
    assert_eq!(served.end(Signal::SIGTERM), Some(0));
    project.run(&["down"]).exits(0);
    project.await_no_processes();
}
