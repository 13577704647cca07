//! What the kernel says about a process: `/proc/PID/stat`, `status`, `fd`, and the table of sockets.

use std::fs;
use std::path::Path;

/// The parts of `/proc/PID/stat` that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// `R` running, `S` sleeping, `T` stopped, `Z` ended but not yet waited for …
    pub(super) state: char,
    /// Process id of the parent.
    pub(super) parent: i32,
    /// User and system time, in clock ticks.
    pub(super) ticks: u64,
    /// The same of children it has waited for.
    pub(super) children_ticks: u64,
    /// When it started, in clock ticks since the machine did: with the id, what no other process has.
    pub(super) started: u64,
}

impl Stat {
    /// Parses the text of a `stat` file. The name in parentheses may itself hold parentheses and spaces.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // proc(5) numbers fields from 1 with the state third; here the state is at 0.
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            ticks: number(11)? + number(12)?,
            children_ticks: number(13)? + number(14)?,
            started: number(19)?,
        })
    }

    /// Reads the state of a process; `None` once it is gone.
    pub(super) fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }
}

/// Whether a process is on its way out: it has ended and is not waited for yet, or SIGKILL is on its way to it, which nothing
/// holds up.
pub(super) fn is_dying(pid: i32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return true };
    has_sigkill(&status) || Stat::of(pid).is_none_or(|stat| matches!(stat.state, 'Z' | 'X'))
}

/// Whether the text of `/proc/PID/status` has SIGKILL, number 9, among the signals that wait.
fn has_sigkill(status: &str) -> bool {
    let waiting = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let set = |text: &str| u64::from_str_radix(text.trim(), 16).unwrap_or(0);
    ["SigPnd", "ShdPnd"].into_iter().filter_map(waiting).any(|text| set(text) & (1 << 8) != 0)
}

/// States of all threads of a process.
pub(super) fn thread_states(pid: i32) -> Vec<char> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("stat")).ok())
        .filter_map(|text| Stat::parse(&text))
        .map(|stat| stat.state)
        .collect()
}

/// A size in bytes from the text of `/proc/PID/status`, such as `VmRSS`.
pub(super) fn status_bytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Clock ticks per second, the unit of times in `stat`.
pub(super) fn ticks_per_second() -> f64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().map_or(100.0, |ticks| ticks as f64)
}

/// Whether a socket that listens on a TCP port belongs to the process. This is what proves that an answer on that
/// port is the process's own and not a stranger's.
pub(super) fn listens_on(pid: i32, port: u16) -> bool {
    owns_socket(pid, |socket| socket.state == "0A" && socket.local == port)
}

/// Whether the process opened the connection from one local port to another.
pub(super) fn connects_from(pid: i32, from: u16, to: u16) -> bool {
    owns_socket(pid, |socket| socket.local == from && socket.remote == to)
}

/// A line of `/proc/net/tcp`.
struct Socket<'a> {
    local: u16,
    remote: u16,
    /// Hexadecimal: `0A` listens.
    state: &'a str,
    inode: &'a str,
}

impl<'a> Socket<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let port = |index: usize| u16::from_str_radix(fields.get(index)?.rsplit_once(':')?.1, 16).ok();
        Some(Self { local: port(1)?, remote: port(2)?, state: fields.get(3)?, inode: fields.get(9)? })
    }
}

fn owns_socket(pid: i32, wanted: impl Fn(&Socket<'_>) -> bool) -> bool {
    let mut links = Vec::new();
    // Java uses sockets for both families, which are listed with the second.
    for table in ["tcp", "tcp6"] {
        let Ok(table) = fs::read_to_string(format!("/proc/{pid}/net/{table}")) else { continue };
        let sockets = table.lines().filter_map(Socket::parse).filter(&wanted);
        links.extend(sockets.map(|socket| format!("socket:[{}]", socket.inode)));
    }
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    !links.is_empty()
        && descriptors.flatten().any(|descriptor| {
            fs::read_link(descriptor.path()).is_ok_and(|target| links.iter().any(|link| target == Path::new(link)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_survives_a_hostile_process_name() {
        let text = "42 (a) R (b) T 1 42 41 0 -1 4194560 1 2 3 4 70 30 5 6 20 0 1 0 100 1 1 1";
        let expected = Stat { state: 'T', parent: 1, ticks: 100, children_ticks: 11, started: 100 };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("42 (x"), None);
    }

    #[test]
    fn a_kill_that_is_on_its_way_is_seen() {
        assert!(!has_sigkill("State:\tS (sleeping)\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000001\n"));
        assert!(has_sigkill("SigPnd:\t0000000000000100\nShdPnd:\t0000000000000000\n"));
        assert!(has_sigkill("SigPnd:\t0000000000000000\nShdPnd:\t0000000000004100\n"));
        assert!(!is_dying(std::process::id() as i32), "this test");
    }

    #[test]
    fn status_sizes_are_bytes() {
        let text = "Name:\tjava\nVmRSS:\t  2048 kB\nRssAnon:\t    1024 kB\n";
        assert_eq!(status_bytes(text, "RssAnon"), Some(1024 * 1024));
        assert_eq!(status_bytes(text, "Rss"), None);
    }

    #[test]
    fn a_listening_socket_is_attributed_to_its_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let me = i32::try_from(std::process::id()).expect("pid");
        assert!(listens_on(me, port));
        assert!(!listens_on(1, port));
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
        let from = client.local_addr().expect("bound").port();
        assert!(connects_from(me, from, port) && !connects_from(me, from, from));
    }
}
