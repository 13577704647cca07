//! Where the engine listens: `DOCKER_HOST`, the client's context, or the sockets engines use by default.

use crate::environment::{EnvironmentError, EnvironmentResult};
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// An engine's address and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EngineAddress {
    /// `unix:///…` or `tcp://…`
    pub(super) url: String,
    /// For messages: `DOCKER_HOST`, ``the context `x` ``.
    origin: String,
}

impl EngineAddress {
    /// An address from a record rather than from this process's surroundings.
    pub(super) fn recorded(url: &str) -> Self {
        Self { url: url.to_owned(), origin: "the undo journal".to_owned() }
    }

    /// The address as it is the same for everybody who means the same engine: without links in the socket's path.
    pub(super) fn canonical(&self) -> String {
        let path = self.socket().and_then(|path| std::fs::canonicalize(path).ok());
        path.map_or_else(|| self.url.clone(), |path| format!("unix://{}", path.display()))
    }

    /// The socket's path, where it is one.
    pub(super) fn socket(&self) -> Option<&Path> {
        self.url.strip_prefix("unix://").map(Path::new)
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `DOCKER_HOST` may hold a password.
        let shown = match self.url.split_once("://") {
            Some((scheme, rest)) => match rest.rsplit_once('@') {
                Some((_, host)) if scheme != "unix" => format!("{scheme}://***@{host}"),
                _ => self.url.clone(),
            },
            None => self.url.clone(),
        };
        write!(f, "{shown} (from {})", self.origin)
    }
}

/// What the search looks at; a value of its own so that tests need no environment variables.
pub(super) struct Surroundings<'a> {
    /// Reads an environment variable; empty ones count as unset, as in the Docker client.
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a socket exists.
    pub(super) exists: &'a dyn Fn(&Path) -> bool,
    /// The user's numeric id, part of rootless sockets' paths.
    pub(super) uid: u32,
}

/// Finds the engine in the Docker client's own order: `DOCKER_HOST`, `DOCKER_CONTEXT`, the current context of the
/// client's config file, then the default sockets of Docker, rootless Docker and Podman.
///
/// # Errors
/// A context that does not exist or an address of a kind that is not supported, each with its remedy.
pub(super) fn find(around: &Surroundings<'_>) -> EnvironmentResult<EngineAddress> {
    let variable = |name: &str| (around.variable)(name).filter(|value| !value.is_empty());
    if let Some(url) = variable("DOCKER_HOST") {
        return supported(
            EngineAddress { url, origin: "DOCKER_HOST".to_owned() },
            variable("DOCKER_TLS_VERIFY").is_some(),
        );
    }
    let folder =
        variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(PathBuf::from(variable("HOME")?).join(".docker")));
    let context = variable("DOCKER_CONTEXT").or_else(|| current_context(folder.as_deref()?));
    if let Some(name) = context.filter(|name| name != "default") {
        let known = folder.as_deref().map(contexts).unwrap_or_default();
        let Some(found) = known.iter().find(|context| context.name == name) else {
            return Err(EnvironmentError::Prerequisite {
                message: format!("the Docker client's context `{name}` does not exist"),
                remedy: "docker context use default (docker context ls shows what there is)".to_owned(),
            });
        };
        let address =
            EngineAddress { url: found.endpoints.docker.host.clone(), origin: format!("the context `{name}`") };
        return supported(address, false);
    }
    Ok(default_socket(around, variable("XDG_RUNTIME_DIR")))
}

fn default_socket(around: &Surroundings<'_>, runtime: Option<String>) -> EngineAddress {
    let runtime = runtime.map_or_else(|| PathBuf::from(format!("/run/user/{}", around.uid)), PathBuf::from);
    let sockets = [
        (PathBuf::from("/var/run/docker.sock"), "Docker's default socket"),
        (runtime.join("docker.sock"), "rootless Docker's socket"),
        (runtime.join("podman/podman.sock"), "rootless Podman's socket"),
        (PathBuf::from("/run/podman/podman.sock"), "Podman's socket"),
    ];
    let (path, origin) = sockets.iter().find(|(path, _)| (around.exists)(path)).unwrap_or(&sockets[0]);
    EngineAddress { url: format!("unix://{}", path.display()), origin: (*origin).to_owned() }
}

fn supported(address: EngineAddress, tls: bool) -> EnvironmentResult<EngineAddress> {
    let scheme = address.url.split("://").next().unwrap_or_default();
    let tunnel = "forward the engine's socket and name it: ssh -nNT -L ./docker.sock:/var/run/docker.sock HOST & \
                  export DOCKER_HOST=unix://$PWD/docker.sock";
    match scheme {
        "unix" | "tcp" | "http" if !tls => Ok(address),
        "unix" => Ok(address),
        _ => Err(EnvironmentError::Prerequisite {
            message: format!(
                "the Docker engine at {address} is reached by {}, which kscen does not speak",
                if scheme == "ssh" {
                    "ssh"
                } else if tls || scheme == "https" {
                    "TLS"
                } else {
                    "an unknown scheme"
                }
            ),
            remedy: tunnel.to_owned(),
        }),
    }
}

#[derive(Deserialize)]
struct ClientConfig {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct Context {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Endpoints")]
    endpoints: ContextEndpoints,
}

#[derive(Deserialize)]
struct ContextEndpoints {
    docker: ContextEndpoint,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host")]
    host: String,
}

fn current_context(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("config.json")).ok()?;
    serde_json::from_str::<ClientConfig>(&text).ok()?.current_context.filter(|name| !name.is_empty())
}

/// The contexts of the client; each lies in a folder named by a digest of its name, so all are read.
fn contexts(folder: &Path) -> Vec<Context> {
    let Ok(entries) = std::fs::read_dir(folder.join("contexts/meta")) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("meta.json")).ok())
        .filter_map(|text| serde_json::from_str(&text).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{EngineAddress, Surroundings, find};
    use std::collections::HashMap;
    use std::path::Path;

    fn url(variables: &[(&str, &str)], sockets: &[&str]) -> Result<String, String> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        let around = Surroundings {
            variable: &|name| variables.get(name).map(|value| (*value).to_owned()),
            exists: &|path| sockets.iter().any(|socket| Path::new(socket) == path),
            uid: 1000,
        };
        find(&around).map(|address| address.url).map_err(|error| error.to_string())
    }

    #[test]
    fn an_engine_is_found_in_the_order_of_the_docker_client() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let meta = folder.path().join("contexts/meta/0a1b");
        std::fs::create_dir_all(&meta).expect("the folder of a context");
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"far"}"#).expect("a client config");
        std::fs::write(
            meta.join("meta.json"),
            r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://far:2375","SkipTLSVerify":false}}}"#,
        )
        .expect("a context");
        let config = ("DOCKER_CONFIG", folder.path().to_str().expect("a plain path"));

        assert_eq!(url(&[config, ("DOCKER_HOST", "unix:///a.sock")], &[]), Ok("unix:///a.sock".into()));
        assert_eq!(url(&[config], &[]), Ok("tcp://far:2375".into()));
        assert_eq!(url(&[config, ("DOCKER_CONTEXT", "default")], &[]), Ok("unix:///var/run/docker.sock".into()));
        assert!(url(&[config, ("DOCKER_CONTEXT", "near")], &[]).is_err_and(|message| message.contains("`near`")));
        assert!(url(&[("DOCKER_HOST", "ssh://far")], &[]).is_err_and(|message| message.contains("ssh")));
        let podman = "/run/user/1000/podman/podman.sock";
        assert_eq!(url(&[], &[podman]), Ok(format!("unix://{podman}")));
    }

    #[test]
    fn an_address_is_shown_without_the_password_in_it() {
        let shown = |url: &str| EngineAddress { url: url.to_owned(), origin: "DOCKER_HOST".to_owned() }.to_string();
        assert_eq!(shown("tcp://anna:hun@ter@far:2375"), "tcp://***@far:2375 (from DOCKER_HOST)");
        assert_eq!(shown("unix:///home/a@b/docker.sock"), "unix:///home/a@b/docker.sock (from DOCKER_HOST)");
        let refused = url(&[("DOCKER_HOST", "ssh://anna:hunter@far")], &[]).expect_err("kscen does not speak ssh");
        assert!(refused.contains("ssh://***@far") && !refused.contains("hunter"), "{refused}");
    }
}
