//! What a command writes.

use nix::errno::Errno;
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// Most bytes kept of each output.
const KEPT: usize = 1024 * 1024;
/// Most bytes that a pipe holds.
const PIPE: usize = 1024 * 1024;

/// One of a command's outputs: its first megabyte is kept, the rest read and forgotten.
#[derive(Debug, Default)]
pub(super) struct CommandOutput {
    pipe: Option<Receiver>,
    kept: Vec<u8>,
    more: bool,
}

impl CommandOutput {
    /// Reads from the end of a pipe.
    ///
    /// # Errors
    /// It is no pipe.
    pub(super) fn of(pipe: Option<OwnedFd>) -> io::Result<Self> {
        Ok(Self { pipe: pipe.map(Receiver::from_owned_fd).transpose()?, ..Self::default() })
    }

    fn take(&mut self, bytes: &[u8]) {
        let room = KEPT - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.more |= bytes.len() > room;
    }

    /// Reads until nobody can write any more. Nothing that was read is lost where this is given up.
    pub(super) async fn follow(&mut self) {
        let mut buffer = vec![0; 64 * 1024];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut buffer).await {
                Ok(length) if length > 0 => self.take(&buffer[..length]),
                _ => self.pipe = None,
            }
        }
    }

    /// Takes what still stands in the pipe, and waits for nobody: whoever holds its other end may do so forever.
    pub(super) fn drain(&mut self) {
        let Some(pipe) = self.pipe.take() else { return };
        let mut buffer = vec![0; 64 * 1024];
        let mut left = PIPE;
        while left > 0 {
            match nix::unistd::read(&pipe, &mut buffer) {
                Ok(length) if length > 0 => {
                    self.take(&buffer[..length]);
                    left = left.saturating_sub(length);
                }
                Err(Errno::EINTR) => {}
                _ => return,
            }
        }
    }

    /// As text.
    pub(super) fn text(&self) -> String {
        let cut = if self.more { "…" } else { "" };
        String::from_utf8_lossy(&self.kept).into_owned() + cut
    }
}
