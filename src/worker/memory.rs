//! Workers in threads of this process, for tests.

use super::link::{LinkEnds, LinkHolder, WorkerLink};
use super::serve;
use crate::ground::lock;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// How long a worker that was told to end may take.
const END: Duration = Duration::from_secs(5);

/// What a worker does with its end of the stream.
type Worker = Arc<dyn Fn(UnixStream) + Send + Sync>;

/// A worker in a thread of this process, whose stream can be cut.
#[derive(Clone)]
pub(crate) struct MemoryLink {
    worker: Worker,
    cut: Arc<Mutex<Option<UnixStream>>>,
}

impl MemoryLink {
    pub(crate) fn to(worker: impl Fn(UnixStream) + Send + Sync + 'static) -> Self {
        Self { worker: Arc::new(worker), cut: Arc::default() }
    }

    pub(crate) fn real(runtime: &Handle) -> Self {
        let runtime = runtime.clone();
        Self::to(move |stream| {
            let [read, own] = [0; 2].map(|_| stream.try_clone().expect("a second handle"));
            let _ = serve(read, stream, &runtime, move || drop(own.shutdown(Shutdown::Both)));
        })
    }

    pub(crate) fn cut(&self) {
        let stream = lock(&self.cut).take().expect("it was opened");
        stream.shutdown(Shutdown::Both).expect("it is open");
    }
}

impl WorkerLink for MemoryLink {
    fn place(&self) -> String {
        "memory".to_owned()
    }

    fn open(&self) -> io::Result<LinkEnds> {
        let (own, theirs) = UnixStream::pair()?;
        let worker = Arc::clone(&self.worker);
        let thread = std::thread::spawn(move || worker(theirs));
        *lock(&self.cut) = Some(own.try_clone()?);
        let holder = MemoryHolder(own.try_clone()?, thread);
        Ok(LinkEnds { read: Box::new(own.try_clone()?), write: Box::new(own), holder: Box::new(holder) })
    }
}

struct MemoryHolder(UnixStream, JoinHandle<()>);

impl LinkHolder for MemoryHolder {
    fn end_now(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }

    fn ended(&mut self) -> Option<String> {
        let deadline = Instant::now() + END;
        while !self.1.is_finished() {
            if Instant::now() > deadline {
                return None;
            }
            std::thread::yield_now();
        }
        Some("its thread ended".to_owned())
    }
}
