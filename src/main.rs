//! The `kscen` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    allocator::give_back_at_once();
    kscen::cli::main().into()
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod allocator {
    #![allow(unsafe_code)]

    use libmimalloc_sys::{mi_option_set_default, mi_option_t};

    #[global_allocator]
    static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

    /// `mi_option_purge_delay` of mimalloc.h, in milliseconds: the crate has no name for it.
    const PURGE_DELAY: mi_option_t = 15;

    /// Memory that is freed goes back to the system at once. mimalloc keeps it for a second, in which a backup frees as much again as it needs;
    /// it costs no processor time that can be measured. `MIMALLOC_PURGE_DELAY` in the environment outweighs it.
    pub(super) fn give_back_at_once() {
        // SAFETY: it sets a number of the allocator, before there are other threads.
        unsafe { mi_option_set_default(PURGE_DELAY, 0) };
    }
}
