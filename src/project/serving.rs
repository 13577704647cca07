//! `serve:` in `kscen.yaml`: how `kscen serve` runs.

use super::schedules::ScheduledBackup;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// How `kscen serve` runs. Paths are relative to the folder of `kscen.yaml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServeSettings {
    /// The address and port that it listens at. Beyond loopback it takes `tokens` and `tls`.
    pub listen: String,
    /// Where archives lie: a folder, or `s3://BUCKET/PREFIX`. Each is one below it, by its name.
    pub archives: String,
    /// The folder of its jobs and of its audit log; kscen's own state folder where absent. One service at a time uses it.
    pub state: Option<PathBuf>,
    /// The file of tokens, a line each: a name, the SHA-256 of the token, and its scopes. Without it everybody who reaches the address
    /// may do everything.
    pub tokens: Option<PathBuf>,
    /// TLS.
    pub tls: Option<ServeTls>,
    /// The environments that may be named as clusters; all of `kscen.yaml` where absent.
    pub clusters: Option<Vec<String>>,
    /// How many jobs run at the same time.
    pub jobs: usize,
    /// How many jobs may wait.
    pub queue: usize,
    /// How many connections may be open.
    pub connections: usize,
    /// Archives are encrypted to these recipients of age, `age1…`.
    pub encrypt_to: Vec<String>,
    /// Files with age identities, which open encrypted archives.
    pub identity: Vec<PathBuf>,
    /// Backups at set times.
    pub backups: Vec<ScheduledBackup>,
}

/// The certificate that the service shows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServeTls {
    /// A file with the certificate and those that it rests on, in PEM.
    pub certificate: PathBuf,
    /// A file with its private key, in PEM (PKCS #8), which only its owner may read.
    pub key: PathBuf,
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8087".to_owned(),
            archives: "archives".to_owned(),
            state: None,
            tokens: None,
            tls: None,
            clusters: None,
            jobs: 2,
            queue: 100,
            connections: 256,
            encrypt_to: Vec::new(),
            identity: Vec::new(),
            backups: Vec::new(),
        }
    }
}
