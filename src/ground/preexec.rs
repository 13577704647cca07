//! What a child does between fork and exec, and what this process does at a signal. `unsafe` is only here, in `load/punctual.rs` and in
//! `kafka/batch`.
#![allow(unsafe_code)]

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes the child die with the calling *thread*, and keeps the terminal's Ctrl-C away from it.
///
/// The kernel sends SIGKILL to the child when the thread that forked it ends, so the caller has to be a thread that
/// lives as long as the process. `std` changes uid and gid before this hook runs; it has to be so, because changing
/// them clears the parent-death signal.
pub(crate) fn tie_to_parent(command: &mut Command) {
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

/// Makes the child the parent of whatever descends from it and loses its own parent, also in a session of its own and without a
/// variable: as long as the child lives, all of it can be found below it. What the child executes keeps that.
pub(crate) fn adopt_orphans(command: &mut Command) {
    let hook = || {
        // A kernel that cannot do that (before 3.4) leaves the descendants that stay in their group.
        let _ = set_child_subreaper(true);
        Ok(())
    };
    // SAFETY: the hook is one system call on integers; it neither allocates nor takes locks.
    unsafe {
        command.pre_exec(hook);
    }
}

/// From now on a file that may not grow any more (`ulimit -f`) is an error of writing, as a full disk is; without this the kernel ends the
/// process. Programs that are started have the usual way again: a handler, unlike "ignore", is not inherited.
pub(crate) fn survive_file_limits() {
    extern "C" fn nothing(_: libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing at all. That SIGXFSZ can be handled is certain, so there is no error to tell.
    let _ = unsafe { sigaction(Signal::SIGXFSZ, &action) };
}
