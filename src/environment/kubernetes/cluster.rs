//! The API server, and what its refusals mean.

use crate::environment::{EnvironmentError, EnvironmentResult};
use crate::ground::causes;
use crate::text::did_you_mean;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the API server may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// Set in every pod.
const IN_A_POD: &str = "KUBERNETES_SERVICE_HOST";
/// The namespace where nobody says another.
const DEFAULT_NAMESPACE: &str = "default";

/// Where the API is, without any secret: those stay in the kubeconfig.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whereabouts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kubeconfig: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) context: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
}

/// A connection to the API of one namespace.
#[derive(Clone)]
pub(super) struct Kube {
    pub(super) client: Client,
    pub(super) namespace: String,
    /// Without it, what is written down would be undone in whatever the current context is then.
    pub(super) whereabouts: Whereabouts,
    pub(super) server: String,
}

impl Whereabouts {
    /// As a file in that folder says it: a path counts from there.
    pub(super) fn told(
        folder: &Path,
        kubeconfig: Option<&PathBuf>,
        context: Option<&String>,
        namespace: Option<&String>,
    ) -> Self {
        let kubeconfig = kubeconfig.map(|path| folder.join(path));
        // Another process may undo what this one does from another folder.
        let kubeconfig = kubeconfig.map(|path| std::fs::canonicalize(&path).unwrap_or(path));
        Self { kubeconfig, context: context.cloned(), namespace: namespace.cloned() }
    }

    fn named(&self) -> String {
        match (&self.kubeconfig, std::env::var("KUBECONFIG")) {
            (Some(path), _) => path.display().to_string(),
            (None, Ok(paths)) if !paths.is_empty() => format!("{paths} (of the variable KUBECONFIG)"),
            _ => "~/.kube/config".to_owned(),
        }
    }

    /// The kubeconfig; `None` where there is none and this is a pod.
    fn read(&self) -> EnvironmentResult<Option<Kubeconfig>> {
        let read = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        match read {
            Ok(read) => Ok(Some(read)),
            Err(KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath)
                if self.kubeconfig.is_none() && std::env::var_os(IN_A_POD).is_some() =>
            {
                Ok(None)
            }
            Err(error) => Err(EnvironmentError::Prerequisite {
                message: format!("the kubeconfig {} cannot be used: {}", self.named(), causes(&error)),
                remedy: "name the right file: `kubernetes: { kubeconfig: … }` in kscen.yaml, or KUBECONFIG".to_owned(),
            }),
        }
    }

    /// The context that is meant where none is named.
    pub(super) fn current(&self) -> Option<String> {
        self.read().ok()??.current_context
    }

    /// What tells this cluster from others, as far as it is known without asking it.
    pub(super) fn server(&self) -> Option<(String, String)> {
        let Some(kubeconfig) = self.read().ok()? else {
            return Some(("this cluster".to_owned(), self.namespace.clone().unwrap_or_default()));
        };
        let name = self.context.as_ref().or(kubeconfig.current_context.as_ref())?;
        let context = kubeconfig.contexts.iter().find(|context| context.name == *name)?.context.as_ref()?;
        let cluster = kubeconfig.clusters.iter().find(|cluster| cluster.name == context.cluster)?.cluster.as_ref()?;
        let namespace = self.namespace.clone().or_else(|| context.namespace.clone());
        Some((cluster.server.clone()?, namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())))
    }

    /// Connects.
    ///
    /// # Errors
    /// There is no such kubeconfig or context, or it cannot be used.
    pub(super) async fn connect(&self) -> EnvironmentResult<Kube> {
        let (mut config, context) = match self.read()? {
            Some(kubeconfig) => self.in_context(kubeconfig).await?,
            None => (Config::incluster().map_err(EnvironmentError::because)?, None),
        };
        config.connect_timeout = Some(PATIENCE);
        // A watch is quiet for as long as nothing happens.
        config.read_timeout = None;
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| EnvironmentError::Prerequisite {
            message: format!("the kubeconfig {} cannot be used: {}", self.named(), causes(&error)),
            remedy: "check its certificates and its user".to_owned(),
        })?;
        let whereabouts = Self { kubeconfig: self.kubeconfig.clone(), context, namespace: Some(namespace.clone()) };
        Ok(Kube { client, namespace, whereabouts, server })
    }

    async fn in_context(&self, kubeconfig: Kubeconfig) -> EnvironmentResult<(Config, Option<String>)> {
        let names: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
        let Some(context) = self.context.clone().or_else(|| kubeconfig.current_context.clone()) else {
            return Err(EnvironmentError::Prerequisite {
                message: format!("the kubeconfig {} has no current context", self.named()),
                remedy: format!("name one with `kubernetes: {{ context: … }}`; there are {}", names.join(", ")),
            });
        };
        if !names.contains(&context.as_str()) {
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let remedy = match did_you_mean(&context, names.iter().copied()) {
                Some(similar) => format!("did you mean `kubernetes: {{ context: {similar} }}`?"),
                None => "name one of them with `kubernetes: { context: … }` in kscen.yaml".to_owned(),
            };
            let message = format!("there is no context `{context}` in {}; there are {there}", self.named());
            return Err(EnvironmentError::Prerequisite { message, remedy });
        }
        let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
        match Config::from_custom_kubeconfig(kubeconfig, &options).await {
            Ok(config) => Ok((config, Some(context))),
            Err(error) => Err(EnvironmentError::Prerequisite {
                message: format!("the context `{context}` of {} cannot be used: {}", self.named(), causes(&error)),
                remedy: format!("try `kubectl --context {context} get pods`"),
            }),
        }
    }
}

impl Kube {
    /// The error for what the API refused or did not answer. `what` fits "cannot …".
    pub(super) fn explain(&self, what: &str, error: kube::Error) -> EnvironmentError {
        match &error {
            kube::Error::Api(status) if status.code == 401 => EnvironmentError::Prerequisite {
                message: format!("cannot {what}: {} does not know this user: {}", self.server, status.message),
                remedy: "log in again; the user stands in the kubeconfig".to_owned(),
            },
            kube::Error::Api(status) if status.code == 403 => EnvironmentError::Prerequisite {
                message: format!("cannot {what}: {}", status.message),
                remedy: "`kscen plan` prints the Role that the scenario needs".to_owned(),
            },
            kube::Error::Api(status) => EnvironmentError::Failed {
                message: format!("cannot {what}: {} ({})", status.message, status.code),
                cause: None,
            },
            kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => {
                EnvironmentError::Away {
                    message: format!("cannot {what}: {} does not answer: {}", self.server, causes(&error)),
                    remedy: "look whether this is the right context, and whether the cluster is up".to_owned(),
                }
            }
            _ => EnvironmentError::caused(format!("cannot {what}"), error),
        }
    }
}

/// Whether the API says that there is no such thing.
pub(super) fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether the thing has changed since it was looked at.
pub(super) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}
