//! A thread that is woken on time.
#![allow(unsafe_code)]

use std::mem::size_of;

/// The shortest turn that the kernel grants, in ns.
const TURN_NS: u64 = 100_000;

/// Asks the kernel to wake the calling thread when its timer says so, for a schedule: without the usual 50 µs of slack, and
/// with short turns. Whoever works in short turns gets the processor sooner after waking up, and no more of it (a slice of its
/// own in EEVDF, Linux 6.12 and later; older kernels ignore it).
///
/// Only precision is lost where the kernel refuses.
pub(super) fn make_punctual() {
    let _ = nix::sys::prctl::set_timerslack(1000);
    // SAFETY: both calls concern the calling thread only; the structure is plain numbers, as large as the kernel is told, and
    // lives across them.
    unsafe {
        let mut own: libc::sched_attr = std::mem::zeroed();
        let size = size_of::<libc::sched_attr>() as u32;
        if libc::syscall(libc::SYS_sched_getattr, 0, &mut own, size, 0) == 0
            && own.sched_policy == libc::SCHED_OTHER as u32
        {
            own.sched_runtime = TURN_NS;
            libc::syscall(libc::SYS_sched_setattr, 0, &own, 0);
        }
    }
}
