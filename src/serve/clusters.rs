//! The clusters that requests may name: environments of `kscen.yaml`. No request holds an address.

use super::problem::HttpProblem;
use crate::environment::{EnvironmentError, Grant};
use crate::project::{Project, attach};
use crate::text::did_you_mean;
use crate::wire::WireCluster;
use axum::http::StatusCode;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long one question to a cluster may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The clusters. Cheap to clone.
#[derive(Clone)]
pub struct Clusters(Arc<Known>);

struct Known {
    /// Where `kscen.yaml` is looked for.
    folder: PathBuf,
    names: BTreeSet<String>,
}

/// A cluster that is reached.
pub struct OpenCluster {
    /// kscen's own connections.
    pub wire: WireCluster,
    /// The properties of librdkafka's clients.
    pub properties: BTreeMap<String, String>,
}

impl Clusters {
    /// Those of a project, or these of them.
    ///
    /// # Errors
    /// A name that the project does not have.
    pub fn new(folder: &Path, project: &Project, only: Option<&[String]>) -> Result<Self, String> {
        let names: BTreeSet<String> = match only {
            Some(only) => only.iter().cloned().collect(),
            None => project.names.clone(),
        };
        if let Some(name) = names.iter().find(|name| !project.names.contains(*name)) {
            let similar = did_you_mean(name, project.names.iter().map(String::as_str));
            let hint = similar.map(|similar| format!(": did you mean `{similar}`?")).unwrap_or_default();
            return Err(format!("`clusters` names `{name}`, and kscen.yaml has no such environment{hint}"));
        }
        Ok(Self(Arc::new(Known { folder: folder.to_owned(), names })))
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.0.names.iter().cloned().collect()
    }

    /// A cluster in which these may be done, as `kscen.yaml` is now.
    ///
    /// # Errors
    /// There is no such cluster (404), the file cannot be used (503), or does not allow it (403).
    pub fn permitted(&self, name: &str, grants: &[Grant]) -> Result<Project, HttpProblem> {
        if !self.0.names.contains(name) {
            let problem = HttpProblem::absent("unknown-cluster", format!("there is no cluster `{}`", shown(name)));
            return Err(match did_you_mean(name, self.0.names.iter().map(String::as_str)) {
                Some(similar) => problem.help(format!("did you mean `{similar}`?")),
                None => problem.help("GET /api/kafka/clusters lists them: the environments of kscen.yaml"),
            });
        }
        let project = Project::load(&self.0.folder, Some(name));
        let project = project.map_err(|problems| HttpProblem::refused(StatusCode::SERVICE_UNAVAILABLE, &problems))?;
        let permitted = project.permits(grants);
        permitted.map_err(|problems| HttpProblem::refused(StatusCode::FORBIDDEN, &problems))?;
        Ok(project)
    }

    /// Reaches a cluster.
    ///
    /// # Errors
    /// See [`permitted`](Self::permitted); nothing runs there.
    pub async fn open(&self, name: &str, grants: &[Grant]) -> Result<OpenCluster, EnvironmentError> {
        let refused = |problem: HttpProblem| EnvironmentError::Prerequisite {
            message: problem.detail,
            remedy: problem.help.unwrap_or_else(|| "mend kscen.yaml".to_owned()),
        };
        let project = self.permitted(name, grants).map_err(refused)?;
        let properties = attach(&project).await?.endpoints().connection();
        let wire = WireCluster::new(&properties, PATIENCE).map_err(EnvironmentError::because)?;
        Ok(OpenCluster { wire, properties })
    }
}

/// The beginning of a name that somebody sent, without control characters.
pub fn shown(name: &str) -> String {
    let mut shown: String =
        name.chars().take(100).map(|letter| if letter.is_control() { '�' } else { letter }).collect();
    if name.chars().nth(100).is_some() {
        shown.push('…');
    }
    shown
}
