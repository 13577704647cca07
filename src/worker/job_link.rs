//! Links to workers in the pods of a Kubernetes Job.

use super::link::{LinkEnds, LinkHolder, WorkerLink};
use crate::environment::kubernetes::{PlacedJob, WorkerJobConfig};
use crate::environment::{EnvironmentError, EnvironmentResult, Recipe};
use crate::ground::lock;
use kube::api::AttachedProcess;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// How long the cluster may take to say how a pod ended.
const END: Duration = Duration::from_secs(5);

/// The Job of a run: made when the first of its links is opened, removed with the last.
struct JobOfWorkers {
    config: WorkerJobConfig,
    folder: PathBuf,
    name: String,
    runtime: Handle,
    placed: Mutex<Option<Arc<PlacedJob>>>,
}

impl JobOfWorkers {
    fn placed(&self) -> EnvironmentResult<Arc<PlacedJob>> {
        let mut placed = lock(&self.placed);
        if let Some(placed) = &*placed {
            return Ok(Arc::clone(placed));
        }
        let made = Arc::new(self.runtime.block_on(self.config.place(&self.folder, &self.name))?);
        *placed = Some(Arc::clone(&made));
        Ok(made)
    }
}

impl JobOfWorkers {
    /// Removes it, unless that was done.
    fn remove(&self) {
        let Some(placed) = lock(&self.placed).take() else { return };
        // Whoever drops it may be a part of the runtime: the request is made by a thread that is none.
        let runtime = self.runtime.clone();
        let removal = std::thread::spawn(move || runtime.block_on(placed.remove()).is_ok());
        let _ = removal.join();
    }
}

impl Drop for JobOfWorkers {
    fn drop(&mut self) {
        self.remove();
    }
}

/// To one pod of a Job.
pub struct JobLink {
    job: Arc<JobOfWorkers>,
    index: usize,
}

impl JobLink {
    /// The links to all workers of a Job of that name; a path of its kubeconfig counts from `folder`. To be called inside of the
    /// runtime that is to speak to the cluster.
    pub fn all(config: &WorkerJobConfig, folder: PathBuf, name: String) -> Vec<Box<dyn WorkerLink>> {
        let (runtime, placed) = (Handle::current(), Mutex::default());
        let job = Arc::new(JobOfWorkers { config: config.clone(), folder, name, runtime, placed });
        let link = |index| Box::new(Self { job: Arc::clone(&job), index }) as Box<dyn WorkerLink>;
        (0..config.count as usize).map(link).collect()
    }
}

impl WorkerLink for JobLink {
    fn place(&self) -> String {
        match self.job.placed() {
            Ok(placed) => placed.place(self.index),
            // Opening it says why.
            Err(_) => format!("pod {} of the Job {}", self.index, self.job.name),
        }
    }

    fn remains(&self) -> Option<(String, EnvironmentResult<Recipe>)> {
        let what = format!("workers' Job {}", self.job.name);
        (self.index == 0).then(|| (what, self.job.config.recipe(&self.job.folder, &self.job.name)))
    }

    fn open(&self) -> io::Result<LinkEnds> {
        let told = |error: EnvironmentError| {
            let remedy = error.remedy().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
            io::Error::other(format!("{error}{remedy}"))
        };
        let placed = self.job.placed().map_err(told)?;
        let attached = self.job.runtime.block_on(placed.attach(self.index)).map_err(told)?;
        let (own, theirs) = UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        let carrier = Some(self.job.runtime.spawn(carry(attached, theirs)));
        let (read, write) = (own.try_clone()?, own.try_clone()?);
        let holder = JobHolder { job: Arc::clone(&self.job), placed, index: self.index, own, carrier };
        Ok(LinkEnds { read: Box::new(read), write: Box::new(write), holder: Box::new(holder) })
    }
}

/// Carries bytes between the pod and this process until one of them has no more.
async fn carry(mut attached: AttachedProcess, theirs: UnixStream) -> io::Result<()> {
    let missing = || io::Error::other("the pod has no standard streams");
    let (mut down, mut up) = (attached.stdin().ok_or_else(missing)?, attached.stdout().ok_or_else(missing)?);
    // What a worker says before somebody is attached is heard by nobody: it waits for a word.
    down.write_all(b"\n").await?;
    down.flush().await?;
    let (mut from_us, mut to_us) = tokio::net::UnixStream::from_std(theirs)?.into_split();
    tokio::select! {
        done = tokio::io::copy(&mut from_us, &mut down) => done.map(drop),
        done = tokio::io::copy(&mut up, &mut to_us) => done.map(drop),
    }
}

struct JobHolder {
    job: Arc<JobOfWorkers>,
    placed: Arc<PlacedJob>,
    index: usize,
    own: UnixStream,
    /// Until its end has been awaited.
    carrier: Option<JoinHandle<io::Result<()>>>,
}

impl LinkHolder for JobHolder {
    fn end_now(&mut self) {
        // Without its stream the worker ends, and its pod with it.
        let _ = self.own.shutdown(std::net::Shutdown::Both);
        if let Some(carrier) = &self.carrier {
            carrier.abort();
        }
    }

    fn ended(&mut self) -> Option<String> {
        let carrier = self.carrier.take();
        let (placed, index) = (Arc::clone(&self.placed), self.index);
        self.job.runtime.block_on(async move {
            // What it told last is on its way.
            if let Some(carrier) = carrier {
                let _ = tokio::time::timeout(END, carrier).await;
            }
            placed.ended(index, END).await
        })
    }

    fn tidy(&mut self) {
        if self.index == 0 {
            self.job.remove();
        }
    }
}
