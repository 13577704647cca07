//! A queue of librdkafka that can be waited for with a file descriptor.
#![allow(unsafe_code)]

use rdkafka::bindings::*;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::null;
use std::time::Duration;

/// A queue of librdkafka that signals a file descriptor when it ceases to be empty.
pub(super) struct Queue {
    pub(super) queue: *mut rd_kafka_queue_t,
    signal: OwnedFd,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Queue {}

impl Queue {
    /// SAFETY: `queue` must be a reference of its own, valid until `rd_kafka_queue_destroy`.
    pub(super) unsafe fn new(queue: *mut rd_kafka_queue_t) -> std::io::Result<Self> {
        // SAFETY: a plain system call; the descriptor it returns belongs to nobody else.
        let signal = unsafe {
            match libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) {
                -1 => return Err(std::io::Error::last_os_error()),
                fd => OwnedFd::from_raw_fd(fd),
            }
        };
        let one = 1u64.to_ne_bytes();
        // SAFETY: the payload is copied by the call; the descriptor outlives the registration,
        // which `drop` ends first.
        unsafe { rd_kafka_queue_io_event_enable(queue, signal.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        Ok(Self { queue, signal })
    }

    /// Waits until something has been put into the queue, at most `timeout`.
    pub(super) fn wait(&self, timeout: Duration) {
        let mut poll = libc::pollfd { fd: self.signal.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let limit = libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
        };
        // SAFETY: both structures live across the calls; eight bytes are what an eventfd returns.
        unsafe {
            if libc::ppoll(&mut poll, 1, &limit, null()) > 0 {
                let mut counter = [0u8; 8];
                libc::read(self.signal.as_raw_fd(), counter.as_mut_ptr().cast(), counter.len());
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: -1 ends the registration; the reference is given back exactly once.
        unsafe {
            rd_kafka_queue_io_event_enable(self.queue, -1, null(), 0);
            rd_kafka_queue_destroy(self.queue);
        }
    }
}
