//! An environment of `kscen.yaml`, as its kind sees it.

use super::{Endpoints, Grant, Needs, ServiceId};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// One environment of `kscen.yaml`, without the settings of its kind.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// The folder of `kscen.yaml`, or the working directory where there is none.
    pub folder: PathBuf,
    /// The folder of `kscen.yaml`, without links; `None` where there is none.
    pub root: Option<PathBuf>,
    /// The addresses that the file gives.
    pub endpoints: Endpoints,
    /// What may be done there: what the file allows, or what its kind grants where the file does not say.
    pub granted: BTreeSet<Grant>,
}

/// Why an environment cannot or may not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable code.
    pub code: &'static str,
    /// What is refused, and why.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Site {
    /// The refusal of what is not granted there.
    pub fn without_leave(&self, grant: Grant) -> Option<Refusal> {
        (!self.granted.contains(&grant)).then(|| Refusal {
            code: "not-allowed",
            message: format!("`{}` does not allow `{grant}`", self.name),
            help: Some(format!("add `{grant}` to its `allow` in kscen.yaml, if that is meant")),
        })
    }

    /// The services that are needed and of which the file gives no address: for kinds that start nothing.
    pub fn without_address(&self, needs: &Needs) -> Vec<Refusal> {
        let has = |service: ServiceId| match service {
            ServiceId::Connect => self.endpoints.connect.is_some(),
            ServiceId::Postgres => self.endpoints.postgres.is_some(),
            ServiceId::KafkaUi => self.endpoints.kafka_ui.is_some(),
            ServiceId::Broker(_) | ServiceId::Controller(_) => true,
        };
        let missing = needs.services.iter().filter(|service| !has(**service));
        missing
            .map(|service| Refusal {
                code: "missing-service",
                message: format!("the environment `{}` has no {service}", self.name),
                help: Some(format!("add `{}: {{ url: … }}` to it", service.to_string().replace('-', "_"))),
            })
            .collect()
    }

    /// The refusal of a size limit for folders, where that is needed: for kinds that did not make them.
    pub fn without_limit(&self, kind: &str, needs: &Needs) -> Option<Refusal> {
        let folder = match (needs.log_dir, needs.archive_dir) {
            (Some(_), _) => "the log directory",
            (None, Some(_)) => "the folder for archives",
            (None, None) => return None,
        };
        Some(Refusal {
            code: "cannot-limit-disk",
            message: format!("only `local` environments can limit the size of {folder}, and `{}` is {kind}", self.name),
            help: Some("run it with --env local".to_owned()),
        })
    }
}
