//! A TCP proxy in front of one listener of a service. It carries bytes and knows nothing of what they mean.

use super::shape::{Link, Path};
use crate::environment::Direction;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// Portions on their way on a delayed connection; with 16 KiB each, 16 MiB.
const IN_FLIGHT: usize = 1024;

/// Which connections a link shapes.
pub(super) struct LinkRoute {
    /// The port that is told to others.
    pub(super) listen: u16,
    /// The port that the service binds.
    pub(super) target: u16,
    /// The faults on connections to the service.
    pub(super) link: Link,
    /// The faults on connections *from* the process that opened this one, where that is a service here. The answer
    /// `Err` means the service itself: those bytes cross no network.
    pub(super) origin: Option<Box<dyn Fn(SocketAddr) -> ConnectionOrigin + Send + Sync>>,
}

/// Who opened a connection.
pub(super) enum ConnectionOrigin {
    /// Somebody outside of the cluster.
    Outside,
    /// The same service that it leads to.
    Itself,
    /// Another service, with the faults on its connections.
    Other(Link),
}

/// A running proxy. Dropping it closes its connections.
#[derive(Debug)]
pub(super) struct Proxy {
    task: JoinHandle<()>,
    open: Arc<AtomicUsize>,
}

impl Proxy {
    /// Starts to listen.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub(super) async fn start(route: LinkRoute) -> io::Result<Self> {
        let listener = bind(route.listen).await?;
        let open = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(serve(listener, Arc::new(route), Arc::clone(&open)));
        Ok(Self { task, open })
    }

    /// Number of open connections.
    pub(super) fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

async fn serve(first: TcpListener, route: Arc<LinkRoute>, open: Arc<AtomicUsize>) {
    let mut shape = route.link.watch();
    let mut listener = Some(first);
    // Connections live in this set, so that they end with the proxy.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        if shape.borrow_and_update().refuse {
            listener = None; // the kernel refuses connections to a port nobody listens on
            if shape.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(listening) = &listener else {
            match bind(route.listen).await {
                Ok(bound) => listener = Some(bound),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
            continue;
        };
        tokio::select! {
            _ = shape.changed() => {}
            Some(_) = connections.join_next() => {}
            accepted = listening.accept() => match accepted {
                Ok((client, from)) => {
                    open.fetch_add(1, Ordering::Relaxed);
                    let (route, open) = (Arc::clone(&route), Arc::clone(&open));
                    connections.spawn(async move {
                        carry(client, from, &route).await;
                        open.fetch_sub(1, Ordering::Relaxed);
                    });
                }
                // Out of descriptors for instance: others may be given back meanwhile.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            },
        }
    }
}

/// Carries one connection until either side ends it or a fault resets it.
async fn carry(mut client: TcpStream, from: SocketAddr, route: &Arc<LinkRoute>) {
    let asked = Arc::clone(route);
    let find = move || asked.origin.as_ref().map_or(ConnectionOrigin::Outside, |origin| origin(from));
    // Finding out reads files of the kernel, which take a moment.
    let origin = tokio::task::spawn_blocking(find).await.unwrap_or(ConnectionOrigin::Outside);
    let links: Vec<(Link, Direction)> = match origin {
        ConnectionOrigin::Itself => Vec::new(),
        ConnectionOrigin::Outside => vec![(route.link.clone(), Direction::In)],
        ConnectionOrigin::Other(link) => vec![(route.link.clone(), Direction::In), (link, Direction::Out)],
    };
    let opposite = |direction| if direction == Direction::In { Direction::Out } else { Direction::In };
    let back = Path::new(links.iter().map(|(link, way)| (link.clone(), opposite(*way))).collect());
    let there = Path::new(links.clone());
    let reset = any_reset(&links);
    tokio::pin!(reset);
    let refused = links.iter().any(|(link, _)| link.watch().borrow().refuse);
    let mut server = match TcpStream::connect((Ipv4Addr::LOCALHOST, route.target)).await {
        Ok(server) if !refused => server,
        _ => {
            let _ = client.set_zero_linger(); // a reset, as a closed port would send
            return;
        }
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let was_reset = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        tokio::select! {
            _ = async { tokio::join!(pump(client_read, server_write, &there), pump(server_read, client_write, &back)) } => false,
            () = &mut reset => true,
        }
    };
    if was_reset {
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    }
}

/// Waits until one of the links asks for a reset.
async fn any_reset(links: &[(Link, Direction)]) {
    let waits = links.iter().map(|(link, _)| {
        let mut shape = link.watch();
        let before = shape.borrow().resets;
        Box::pin(async move {
            let _ = shape.wait_for(|shape| shape.resets != before).await;
        })
    });
    let waits: Vec<_> = waits.collect();
    if waits.is_empty() {
        std::future::pending::<()>().await;
    }
    futures_util::future::select_all(waits).await;
}

/// Carries one way of a connection, as its path allows.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, path: &Path) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let room = Notify::new();
    let take = async {
        let sender = sender;
        loop {
            path.open().await; // behind a cut nothing is read: the sender's window fills
            while !sender.is_closed() && IN_FLIGHT - sender.capacity() >= path.ahead() {
                room.notified().await;
            }
            let mut bytes = vec![0; path.portion()];
            match from.read(&mut bytes).await {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    bytes.truncate(count);
                    if sender.send((Instant::now(), bytes)).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    let give = async {
        while let Some((sent, bytes)) = receiver.recv().await {
            path.arrive(sent, bytes.len()).await;
            if to.write_all(&bytes).await.is_err() {
                // Whoever still takes finds the channel closed.
                receiver.close();
                room.notify_one();
                return;
            }
            room.notify_one();
        }
        path.open().await;
        let _ = to.shutdown().await;
    };
    tokio::join!(take, give);
}
