//! A client of the service.

use crate::program::{LONG, Project};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Client, Method, Response};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

/// `kscen serve`, until it is dropped.
pub struct Served {
    child: Child,
    url: String,
    client: Client,
    pub cluster: String,
}

impl Served {
    pub fn start(project: &Project) -> Self {
        let mut command = project.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("it starts");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut url).expect("it listens");
        let client = Client::builder().timeout(LONG).build().expect("a client");
        Self { child, url: url.trim().to_owned(), client, cluster: project.name.clone() }
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        request.send().await.expect("an answer")
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.send(Method::GET, path, &[], None).await;
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.expect("JSON")
    }

    pub async fn text(&self, path: &str) -> String {
        self.send(Method::GET, path, &[], None).await.text().await.expect("text")
    }

    /// Where jobs of a kind are asked for.
    pub fn place(&self, kind: &str) -> String {
        match kind {
            "migrate" => "/api/kafka/migrate".to_owned(),
            kind => format!("/api/kafka/clusters/{}/{kind}", self.cluster),
        }
    }

    /// Asks for a job, and answers at once.
    pub async fn ask(&self, kind: &str, body: &Value) -> Value {
        let path = self.place(kind);
        let answer = self.send(Method::POST, &path, &[], Some(body)).await;
        let status = answer.status();
        let body = answer.json().await.expect("JSON");
        assert!(status == 202 || status == 200, "{status}: {body}");
        body
    }

    /// Asks for a job, and waits for its end.
    pub async fn done(&self, kind: &str, body: &Value) -> Value {
        let answer = self.send(Method::POST, &self.place(kind), &[("prefer", "wait=120")], Some(body)).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
        answer.json().await.expect("JSON")
    }

    pub async fn follow(&self, job: &Value, after: Option<&str>) -> Events {
        let path = format!("/api/jobs/{}/events", job["id"].as_str().expect("an id"));
        let headers: Vec<(&str, &str)> = after.map(|after| ("last-event-id", after)).into_iter().collect();
        let response = self.send(Method::GET, &path, &headers, None).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { response, text: String::new() }
    }

    /// The job when it is over.
    pub async fn ended(&self, job: &Value) -> Value {
        let mut events = self.follow(job, None).await;
        while events.next().await.is_some() {}
        self.get(&format!("/api/jobs/{}", job["id"].as_str().expect("an id"))).await
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")), signal).expect("it runs");
    }

    pub fn end(mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.child.wait().expect("it ended").code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Events as they come.
pub struct Events {
    response: Response,
    text: String,
}

/// One of them.
#[derive(Debug)]
pub struct Told {
    pub id: Option<String>,
    pub name: String,
    pub data: Value,
}

impl Events {
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                let told = field("data:").map(|data| Told {
                    id: field("id:").map(str::to_owned),
                    name: field("event:").unwrap_or_default().to_owned(),
                    data: serde_json::from_str(data).expect("JSON"),
                });
                self.text = rest.to_owned();
                if told.is_some() {
                    return told;
                }
            } else {
                // A service that is killed ends in the middle.
                let part = self.response.chunk().await.ok().flatten()?;
                self.text += std::str::from_utf8(&part).expect("text");
            }
        }
    }

    /// The next of this name.
    pub async fn until(&mut self, name: &str) -> Told {
        loop {
            let told = self.next().await.unwrap_or_else(|| panic!("no `{name}`"));
            if told.name == name {
                return told;
            }
        }
    }
}
