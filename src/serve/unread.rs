//! Requests that cannot be read: no HTTP, a head that is too long or does not end. What reads requests answers them with a bare status, or not at all; here
//! they get a problem as every other request does.

use super::listen::{HEAD, LONGEST};
use super::problem::HttpProblem;
use crate::ground::{lock, unpoisoned};
use axum::http::StatusCode;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Sleep;

/// How long what is still being sent is read after the answer: who is sending does not hear it.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a client may take to read more of what it is sent.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// What every answer of this service has in its head, and a bare status has not.
const OWN: &[u8] = b"x-content-type-options";

/// A client's line, which keeps to itself what the reader of requests would say of one that it cannot read.
pub(super) struct Line<S>(Arc<Mutex<State<S>>>);

struct State<S> {
    stream: S,
    /// Whether something was sent since the last answer.
    heard: bool,
    /// The status that a request which cannot be read would have got.
    unread: Option<u16>,
    /// Runs while the client reads nothing of what it is sent.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<S: Unpin> State<S> {
    /// Does something that a client which does not read holds up, for as long as that may be.
    fn sending<T>(
        &mut self,
        context: &mut Context<'_>,
        send: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let sent = send(Pin::new(&mut self.stream), context);
        if sent.is_ready() {
            self.stuck = None;
            return sent;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        stuck.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// The other end of a [`Line`], for when its connection is over.
pub(super) struct LineEnd<S>(Arc<Mutex<State<S>>>);

/// Both ends of a line over this stream.
pub(super) fn line<S>(stream: S) -> (Line<S>, LineEnd<S>) {
    let state = Arc::new(Mutex::new(State { stream, heard: false, unread: None, stuck: None }));
    (Line(Arc::clone(&state)), LineEnd(state))
}

impl<S: AsyncRead + AsyncWrite + Unpin> LineEnd<S> {
    /// Answers what could not be read, where there is something; `ended` is how the connection came to its end.
    pub(super) async fn answer(self, ended: Result<(), hyper::Error>) -> Option<HttpProblem> {
        let state = unpoisoned(Arc::into_inner(self.0)?.into_inner());
        let problem = match (state.unread, ended) {
            (Some(status), _) => unreadable(status),
            // Of another version of HTTP not even a bare status is said.
            (None, Err(error)) if error.is_parse() => unreadable(400),
            (None, Err(error)) if error.is_timeout() && state.heard => slow(),
            (None, _) => return None,
        };
        let mut stream = state.stream;
        // A client that has gone needs no answer.
        if stream.write_all(&written(&problem)).await.is_ok() && stream.shutdown().await.is_ok() {
            let mut rest = [0; 4096];
            let read = async { while let Ok(1..) = stream.read(&mut rest).await {} };
            let _ = tokio::time::timeout(FAREWELL, read).await;
        }
        Some(problem)
    }
}

fn slow() -> HttpProblem {
    let detail = format!("the head of the request did not arrive within {} seconds", HEAD.as_secs());
    HttpProblem::new(StatusCode::REQUEST_TIMEOUT, "slow", detail)
}

fn unreadable(status: u16) -> HttpProblem {
    match status {
        414 | 431 => {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            HttpProblem::new(
                status,
                "too-large",
                format!("the head of the request is longer than {} KiB", LONGEST >> 10),
            )
        }
        _ => HttpProblem::bad("malformed", "what was sent is no request of HTTP/1.1")
            .help("send HTTP/1.1, over TLS where the service has that"),
    }
}

/// The answer as it is sent.
fn written(problem: &HttpProblem) -> Vec<u8> {
    // A problem is texts and numbers, which can always be written.
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        problem.status,
        problem.title,
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// The status, where this is an answer that nothing of the service has given.
fn bare(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let status: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    ((400..500).contains(&status) && !bytes.windows(OWN.len()).any(|found| found == OWN)).then_some(status)
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (mut state, before) = (lock(&self.0), buffer.filled().len());
        let read = Pin::new(&mut state.stream).poll_read(context, buffer);
        state.heard |= buffer.filled().len() > before;
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0);
        if let Some(status) = bare(bytes) {
            state.unread = Some(status);
            return Poll::Ready(Ok(bytes.len()));
        }
        state.heard = false;
        state.sending(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).sending(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        match state.unread {
            // The answer is still to come.
            Some(_) => Poll::Ready(Ok(())),
            None => state.sending(context, |stream, context| stream.poll_shutdown(context)),
        }
    }
}
