//! Links to workers in the pods of a Kubernetes Job.

use super::link::{LinkEnds, LinkHolder, LinkMakes, WorkerLink};
use crate::environment::EnvironmentError;
use crate::environment::kubernetes::{JobTrace, PlacedJob, WorkerJobConfig};
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

/// The Job of a run: made once, when the first of its links is opened, and removed with the last.
struct JobOfWorkers {
    config: WorkerJobConfig,
    folder: PathBuf,
    name: String,
    runtime: Handle,
    making: Mutex<Making>,
    trace: Arc<JobTrace>,
}

/// How far it is.
#[derive(Default)]
enum Making {
    #[default]
    NotYet,
    Placed(Arc<PlacedJob>),
    /// Why there is none. It is not made again for the next link.
    Failed(String),
    Removed,
}

impl JobOfWorkers {
    /// The Job, made by whoever asks first.
    fn placed(&self) -> Result<Arc<PlacedJob>, String> {
        let mut making = lock(&self.making);
        if matches!(*making, Making::NotYet) {
            let made = self.runtime.block_on(self.config.place(&self.folder, &self.name, &self.trace));
            *making = match made {
                Ok(placed) => Making::Placed(Arc::new(placed)),
                Err(error) => Making::Failed(told(&error)),
            };
        }
        match &*making {
            Making::Placed(placed) => Ok(Arc::clone(placed)),
            Making::Failed(why) => Err(why.clone()),
            Making::NotYet | Making::Removed => Err(format!("the Job {} was removed", self.name)),
        }
    }

    /// Removes it, unless that was done.
    fn remove(&self) {
        let Making::Placed(placed) = std::mem::replace(&mut *lock(&self.making), Making::Removed) else { return };
        // Whoever drops it may be a part of the runtime: the request is made by a thread that is none.
        let runtime = self.runtime.clone();
        let removal = std::thread::spawn(move || runtime.block_on(placed.remove()).is_ok());
        if removal.join().unwrap_or(false) {
            self.trace.may_be_there(false);
        }
    }
}

fn told(error: &EnvironmentError) -> String {
    let remedy = error.remedy().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
    format!("{error}{remedy}")
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
        let (config, runtime) = (config.clone(), Handle::current());
        let (making, trace) = (Mutex::default(), Arc::default());
        let job = Arc::new(JobOfWorkers { config, folder, name, runtime, making, trace });
        let link = |index| Box::new(Self { job: Arc::clone(&job), index }) as Box<dyn WorkerLink>;
        (0..job.config.count as usize).map(link).collect()
    }
}

impl WorkerLink for JobLink {
    fn place(&self) -> String {
        match &*lock(&self.job.making) {
            Making::Placed(placed) => placed.place(self.index),
            _ => format!("pod {} of the Job {}", self.index, self.job.name),
        }
    }

    fn makes(&self) -> Option<LinkMakes> {
        let (what, trace) = (format!("workers' Job {}", self.job.name), Arc::clone(&self.job.trace));
        let recipe = || self.job.config.recipe(&self.job.folder, &self.job.name);
        (self.index == 0).then(|| LinkMakes { what, recipe: recipe(), trace })
    }

    fn open(&self) -> io::Result<LinkEnds> {
        let placed = self.job.placed().map_err(io::Error::other)?;
        let attached = self.job.runtime.block_on(placed.attach(self.index));
        let attached = attached.map_err(|error| io::Error::other(told(&error)))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A Job whose pods find no node is waited for long enough once.
    #[test]
    fn a_job_that_cannot_be_made_is_not_tried_again_for_each_of_its_workers() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let config = json!({ "count": 3, "image": "kscen:1", "kubeconfig": "missing.conf", "context": "x" });
        let config: WorkerJobConfig = serde_json::from_value(config).expect("settings");
        let links = {
            let _inside = runtime.enter();
            JobLink::all(&config, folder.path().to_owned(), "kscen-1".to_owned())
        };
        assert_eq!(links[2].place(), "pod 2 of the Job kscen-1");
        let failed = |link: &dyn WorkerLink| link.open().err().expect("there is no cluster").to_string();
        let first = failed(links[0].as_ref());
        assert!(first.contains("missing.conf"), "{first}");
        // Who looked again would find another mistake.
        std::fs::write(folder.path().join("missing.conf"), "[]").expect("writes");
        assert_eq!([failed(links[1].as_ref()), failed(links[0].as_ref())], [first.clone(), first]);
        assert!(!links[0].makes().expect("a Job").trace.is_there(), "nothing was made");
    }
}
