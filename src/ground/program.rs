//! Starting other programs. None of them is handed kscen's own variables, some of which are secrets.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

/// What a program of another user is left: where programs and libraries are, language and time zone.
const COMMON: [&str; 5] = ["PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ"];

/// A program that is to be started, with this process's variables but kscen's own.
pub fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_own(name)) {
        command.env_remove(name);
    }
    command
}

/// This program, to be started once more, with all of its variables: they are its own.
///
/// # Errors
/// The system does not tell where it lies.
pub fn itself() -> std::io::Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}

/// Whether a variable is for kscen alone. The cache is a place that a kscen started by a command shares.
fn is_own(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"KSCEN_") && name != "KSCEN_CACHE"
}

/// Takes everything from a program that will run as another user: whoever that is can read what it was handed.
pub fn bare(command: &mut Command) {
    command.env_clear();
    command.envs(COMMON.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_kscen_alone_is_told_from_the_rest() {
        for own in ["KSCEN_SECRET_TOKEN", "KSCEN_VAR_X", "KSCEN_ENV"] {
            assert!(is_own(OsStr::new(own)), "{own}");
        }
        for other in ["KSCEN_CACHE", "PATH", "XKSCEN_SECRET_A", "kscen_secret_a"] {
            assert!(!is_own(OsStr::new(other)), "{other}");
        }
        assert!(!is_own(OsStr::from_bytes(b"\xffKSCEN_")));
        let mut command = program("true");
        bare(&mut command);
        assert!(command.get_envs().all(|(name, _)| COMMON.contains(&name.to_str().unwrap_or_default())));
    }
}
