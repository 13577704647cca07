//! A service without a cluster, for tests: it takes jobs and begins none.

use super::service::Service;
use super::start::Serving;
use crate::project::{Project, ServeSettings};
use std::path::Path;
use tempfile::TempDir;

const PROJECT: &str = r#"
default: prod
environments:
  prod:
    remote: {}
    kafka: { bootstrap: "127.0.0.1:1" }
    allow: [backup, restore, groups]
"#;

/// A service in a folder of its own, with these settings.
pub(super) async fn service(settings: impl FnOnce(&Path, &mut ServeSettings)) -> (TempDir, Service) {
    service_of(PROJECT, settings).await
}

/// The same, with this `kscen.yaml`.
pub(super) async fn service_of(project: &str, settings: impl FnOnce(&Path, &mut ServeSettings)) -> (TempDir, Service) {
    let root = tempfile::tempdir().expect("a folder");
    std::fs::write(root.path().join("kscen.yaml"), project).expect("written");
    let project = Project::load(root.path(), None).expect("a project");
    let mut set = ServeSettings {
        listen: "127.0.0.1:0".to_owned(),
        state: Some(root.path().join("state")),
        archives: root.path().join("archives").display().to_string(),
        queue: 3,
        ..ServeSettings::default()
    };
    settings(root.path(), &mut set);
    let serving = Serving::begin(&project, root.path(), set).await.expect("it begins");
    (root, serving.service)
}
