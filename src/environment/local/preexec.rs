//! What a child does between fork and exec. `unsafe` is only here, in `load/punctual.rs` and in `kafka/batch`.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes the child die with the calling *thread*, and keeps the terminal's Ctrl-C away from it.
///
/// The kernel sends SIGKILL to the child when the thread that forked it ends, so the caller has to be a thread that
/// lives as long as the process. `std` changes uid and gid before this hook runs; it has to be so, because changing
/// them clears the parent-death signal.
pub(super) fn tie_to_parent(command: &mut Command) {
    let parent = std::process::id();
    let hook = move || {
        // SAFETY: setsid, prctl and getppid are plain system calls on integers, async-signal-safe, and touch no
        // memory of the (forked, single-threaded) child.
        let orphaned = unsafe {
            if libc::setsid() == -1 {
                return Err(io::Error::last_os_error());
            }
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0, 0, 0) == -1 {
                return Err(io::Error::last_os_error());
            }
            // The parent may have died before the prctl; then nobody will send the signal any more.
            u32::try_from(libc::getppid()) != Ok(parent)
        };
        if orphaned { Err(io::Error::from_raw_os_error(libc::ESRCH)) } else { Ok(()) }
    };
    // SAFETY: the hook neither allocates nor takes locks, so it is sound in the child of a threaded process.
    unsafe {
        command.pre_exec(hook);
    }
}
