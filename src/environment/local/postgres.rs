//! PostgreSQL, ready for logical decoding.

use super::cache::{cache_dir, once};
use super::maven::{Goal, fetch};
use super::ports::Port;
use super::process::ProcessLife;
use super::readiness::Question;
use super::remedy::{Package, install, on_path};
use super::service::{LocalService, ServiceDescription};
use super::spawner::Launch;
use super::stack::{StackMember, cannot_write};
use crate::environment::{EnvironmentError, EnvironmentResult, ServiceId, ServiceInfo};
use crate::ground::private;
use crate::ground::scratch::Scratch;
use futures_util::FutureExt;
use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Version of the packed server programs.
pub(super) const VERSION: &str = "15.19.0";
const POM: &str = include_str!("../../../stack/postgres.xml");
/// Where root keeps what other users have to read; root's own cache is usually closed to them.
const SYSTEM_CACHE: &str = "/var/cache/kscen";

/// The file with the superuser's password, beside the data.
const PASSWORD: &str = "password";

/// Settings beside the place: what Debezium needs, and a log in the form that all services here have.
pub(super) const SETTINGS: [(&str, &str); 7] = [
    ("wal_level", "logical"),
    ("max_wal_senders", "8"),
    ("max_replication_slots", "8"),
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("log_line_prefix", "[%m] "),
    ("log_timezone", "UTC"),
];

/// A database server that is planned.
pub(super) struct Postgres {
    /// Where it listens.
    pub(super) port: Port,
    programs: PathBuf,
    dir: PathBuf,
    /// The superuser's: whoever reaches the port of this machine is not the superuser for that.
    password: String,
    /// PostgreSQL refuses to run as root.
    user: Option<(u32, u32)>,
    /// Where `dir` is not below the run's folder: removed at the end.
    _elsewhere: Option<Scratch>,
}

impl Postgres {
    /// Fetches the programs and prepares the folder.
    ///
    /// # Errors
    /// The programs cannot be fetched or unpacked, no port is free.
    pub(super) async fn plan(run_dir: &Path, progress: &(dyn Fn(String) + Sync)) -> EnvironmentResult<Self> {
        let user = unprivileged_user();
        let programs = programs(user.is_some(), progress).await?;
        let mut dir = run_dir.join("postgres");
        let mut elsewhere = None;
        if user.is_some() && !open_to_all(run_dir) {
            let folder = Scratch::new().map_err(|error| cannot_write(&std::env::temp_dir(), error))?;
            dir = folder.path().join("postgres");
            elsewhere = Some(folder);
        }
        let password = rand::random::<[u8; 16]>().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let prepare = || {
            private::create_dir_all(&dir)?;
            if let Some(folder) = &elsewhere {
                fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
            }
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
            // The program that makes the data reads it from there, each time that they are wiped.
            let file = dir.join(PASSWORD);
            private::create(&file)?.write_all(password.as_bytes())?;
            let owned = |path: &Path| user.map_or(Ok(()), |(uid, gid)| chown(path, Some(uid), Some(gid)));
            owned(&file).and_then(|()| owned(&dir))
        };
        prepare().map_err(|error| cannot_write(&dir, error))?;
        Ok(Self { port: Port::reserve()?, programs, dir, password, user, _elsewhere: elsewhere })
    }

    /// The service. Its log stays below `run_dir` in any case.
    ///
    /// # Errors
    /// The folder of the log cannot be made.
    pub(super) fn member(&self, run_dir: &Path) -> EnvironmentResult<StackMember> {
        let logs = run_dir.join("postgres");
        private::create_dir_all(&logs).map_err(|error| cannot_write(&logs, error))?;
        let (data, log) = (self.dir.join("data"), logs.join("postgres.log"));
        let mut args = vec!["-D".to_owned(), data.display().to_string()];
        let port = self.port.number().to_string();
        for (name, value) in SETTINGS.into_iter().chain([("port", port.as_str())]) {
            args.extend(["-c".to_owned(), format!("{name}={value}")]);
        }
        let init = self.launch(
            "initdb",
            ["--no-sync", "--auth=scram-sha-256", "--username=postgres", "--encoding=UTF8", "--locale=C"]
                .map(str::to_owned)
                .into_iter()
                .chain([format!("--pwfile={}", self.dir.join(PASSWORD).display()), "-D".to_owned()])
                .chain([data.display().to_string()])
                .collect(),
            &log,
        );
        let folder = data.clone();
        let format = move || initialize(folder.clone(), init.clone()).boxed();
        let service = LocalService::new(ServiceDescription {
            info: ServiceInfo { name: ServiceId::Postgres.to_string(), node_id: None, controllable: true },
            launch: Launch { has_children: true, ..self.launch("postgres", args, &log) },
            data: Some((data, Box::new(format))),
            stop_signal: Signal::SIGINT, // "fast": does not wait for clients to leave
            end_signal: Signal::SIGQUIT, // at once, but it gives its shared memory back
            // A replication client that does not confirm everything holds it up for a minute; containers get 10 s too.
            grace: Duration::from_secs(10),
        });
        Ok(StackMember {
            service: Arc::new(service),
            question: Question::Postgres { port: self.port.number(), password: self.password.clone() },
        })
    }

    fn launch(&self, program: &str, args: Vec<String>, log: &Path) -> Launch {
        Launch {
            program: self.programs.join("bin").join(program),
            args,
            directory: "/".into(),
            log: log.to_owned(),
            user: self.user,
            ..Launch::default()
        }
    }

    /// The URL for clients.
    pub(super) fn url(&self) -> String {
        format!("postgres://postgres:{}@{}/postgres", self.password, self.port.address())
    }
}

/// Makes a new, empty database cluster.
async fn initialize(data: PathBuf, init: Launch) -> io::Result<()> {
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    let log = init.log.clone();
    let ended = ProcessLife::start(init).await?.ended().await;
    if ended.code == 0 {
        return Ok(());
    }
    let output = super::logs::last_words(&log).join("\n  ");
    Err(io::Error::other(format!("initdb failed ({}):\n  {output}", ended.how)))
}

/// The folder of the programs as this user runs them, fetched the first time.
///
/// # Errors
/// They cannot be fetched or unpacked.
pub(super) async fn fetched(progress: &(dyn Fn(String) + Sync)) -> EnvironmentResult<PathBuf> {
    programs(unprivileged_user().is_some(), progress).await
}

/// Fetches and unpacks the programs once, where the user that runs them can read them.
async fn programs(shared: bool, progress: &(dyn Fn(String) + Sync)) -> EnvironmentResult<PathBuf> {
    let mut cache = cache_dir()?;
    if shared && !open_to_all(&cache) {
        cache = SYSTEM_CACHE.into();
        let made = fs::create_dir_all(&cache).and_then(|()| reachable(&cache));
        made.map_err(|error| cannot_write(&cache, error))?;
    }
    let folder = cache.join(format!("postgres-{VERSION}"));
    once(&folder, async |scratch: &Path| {
        progress("fetching PostgreSQL with Maven (15 MB, the first time only)".to_owned());
        for tool in ["tar", "xz"] {
            if on_path(tool).is_none() {
                return Err(EnvironmentError::Prerequisite {
                    message: format!("`{tool}` is not installed, and PostgreSQL has to be unpacked once"),
                    remedy: install(Package::Xz),
                });
            }
        }
        let platform = if cfg!(target_arch = "aarch64") { "linux-arm64v8" } else { "linux-amd64" };
        let packed = Scratch::new().map_err(|error| cannot_write(&std::env::temp_dir(), error))?;
        let versions = [("postgres.version", VERSION), ("platform", platform)];
        let list = format!("postgres-{VERSION}-{platform}");
        // Beside what says whose the scratch folder is: all of a folder is held against the list.
        let jar = packed.path().join("jar");
        fetch(Goal::Unpack, &format!("PostgreSQL {VERSION}"), &list, POM, &versions, &jar).await?;
        unpack(&jar, scratch).await.map_err(|error| cannot_write(scratch, error))
    })
    .await?;
    if shared {
        reachable(&folder).map_err(|error| cannot_write(&folder, error))?;
    }
    Ok(folder)
}

/// Opens a folder to the user that PostgreSQL runs as: there are only its programs in it.
fn reachable(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

async fn unpack(packed: &Path, into: &Path) -> io::Result<()> {
    let archive = fs::read_dir(packed)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "txz"))
        .ok_or_else(|| io::Error::other("the jar holds no .txz archive"))?;
    private::create_dir_all(into)?;
    let tar = Launch {
        program: on_path("tar").unwrap_or_else(|| "tar".into()),
        args: ["-xJf", &archive.display().to_string(), "-C", &into.display().to_string()].map(str::to_owned).into(),
        directory: "/".into(),
        log: packed.join("tar.log"),
        ..Launch::default()
    };
    let ended = ProcessLife::start(tar).await?.ended().await;
    if ended.code != 0 {
        let output = fs::read_to_string(packed.join("tar.log")).unwrap_or_default();
        return Err(io::Error::other(format!("tar failed ({}): {}", ended.how, output.trim())));
    }
    Ok(())
}

/// For root: the user `postgres` where there is one, else `nobody`.
fn unprivileged_user() -> Option<(u32, u32)> {
    if !Uid::effective().is_root() {
        return None;
    }
    let user = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
    Some(user.map_or((65534, 65534), |user| (user.uid.as_raw(), user.gid.as_raw())))
}

/// Whether every user can reach what is in a folder.
fn open_to_all(folder: &Path) -> bool {
    folder.ancestors().all(|dir| dir.metadata().is_ok_and(|data| data.permissions().mode() & 0o001 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_parent_closes_a_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("ours");
        fs::create_dir(dir.path().join("sub")).expect("writable");
        assert!(!open_to_all(&dir.path().join("sub")));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("ours");
        assert!(open_to_all(&dir.path().join("sub")));
    }
}
