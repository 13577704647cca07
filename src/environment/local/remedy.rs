//! The exact command that installs a prerequisite on this system.

use std::path::{Path, PathBuf};

/// Something the package manager installs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Package {
    /// A Java runtime of one of the versions that are still maintained: 17 or 21.
    Java(u32),
    /// Maven.
    Maven,
    /// The decompressor `xz`, which `tar` calls.
    Xz,
}

/// The command to type.
pub(super) fn install(package: Package) -> String {
    let root = if nix::unistd::geteuid().is_root() { "" } else { "sudo " };
    let manager = ["apt-get", "dnf", "apk", "pacman", "zypper"].into_iter().find(|name| on_path(name).is_some());
    command(package, manager).map_or_else(
        || match package {
            Package::Java(version) => format!("install Java {version} from https://adoptium.net and set JAVA_HOME"),
            Package::Xz => "install `xz` (XZ Utils) and put it on the PATH".to_owned(),
            Package::Maven => "install Maven from https://maven.apache.org and put `mvn` on the PATH".to_owned(),
        },
        |command| format!("{root}{command}"),
    )
}

fn command(package: Package, manager: Option<&str>) -> Option<String> {
    Some(match (manager?, package) {
        ("apt-get", Package::Java(version)) => format!("apt-get install -y openjdk-{version}-jre-headless"),
        ("apt-get", Package::Maven) => "apt-get install -y maven".to_owned(),
        ("dnf", Package::Java(version)) => format!("dnf install -y java-{version}-openjdk-headless"),
        ("dnf", Package::Maven) => "dnf install -y maven".to_owned(),
        ("apk", Package::Java(version)) => format!("apk add openjdk{version}-jre-headless"),
        ("apk", Package::Maven) => "apk add maven".to_owned(),
        ("pacman", Package::Java(version)) => format!("pacman -S --noconfirm jre{version}-openjdk-headless"),
        ("pacman", Package::Maven) => "pacman -S --noconfirm maven".to_owned(),
        ("zypper", Package::Java(version)) => format!("zypper install -y java-{version}-openjdk-headless"),
        ("zypper", Package::Maven) => "zypper install -y maven".to_owned(),
        ("apt-get", Package::Xz) => "apt-get install -y xz-utils".to_owned(),
        ("dnf", Package::Xz) => "dnf install -y xz".to_owned(),
        ("apk", Package::Xz) => "apk add xz".to_owned(),
        ("pacman", Package::Xz) => "pacman -S --noconfirm xz".to_owned(),
        ("zypper", Package::Xz) => "zypper install -y xz".to_owned(),
        _ => return None,
    })
}

/// Where the shell would find a program.
pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| is_executable(path))
}

/// Whether a file exists and may be executed by somebody.
pub(super) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
