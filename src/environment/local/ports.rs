//! Free TCP ports that stay ours while a broker is down.

use crate::environment::{EnvironmentError, EnvironmentResult};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// A TCP port on the loopback interface reserved against every other kscen on this machine.
///
/// The reservation is an abstract Unix socket named after the port: it needs no file, counts per network namespace
/// as ports do, and ends with this process, whatever ends it. Ports lie outside the range from which the kernel
/// picks ports for outgoing connections, so that no connection takes one while its broker is down.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    _reservation: UnixListener,
}

impl Port {
    /// Reserves a free port.
    ///
    /// # Errors
    /// No port is free, or sockets cannot be made at all.
    pub(super) fn reserve() -> EnvironmentResult<Self> {
        let outgoing = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        let candidates = candidates(&outgoing);
        let start = rand::random_range(0..candidates.len());
        let mut last = io::Error::new(io::ErrorKind::AddrInUse, "no free port");
        for number in candidates[start..].iter().chain(&candidates[..start]) {
            match Self::try_reserve(*number) {
                Ok(port) => return Ok(port),
                Err(error) => last = error,
            }
        }
        Err(EnvironmentError::failed(format!("could not reserve a port: {last}")))
    }

    fn try_reserve(number: u16) -> io::Result<Self> {
        let name = SocketAddr::from_abstract_name(format!("kscen-port-{number}"))?;
        let reservation = UnixListener::bind_addr(&name)?;
        // Held only for a moment: it shows that no stranger has the port now.
        drop(TcpListener::bind((Ipv4Addr::LOCALHOST, number))?);
        drop(TcpListener::bind((Ipv4Addr::UNSPECIFIED, number))?);
        Ok(Self { number, _reservation: reservation })
    }

    /// The port's number.
    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:PORT`.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

/// Unprivileged ports outside the kernel's range for outgoing connections, or all where too few remain.
fn candidates(outgoing: &str) -> Vec<u16> {
    let mut bounds = outgoing.split_ascii_whitespace().filter_map(|bound| bound.parse::<u16>().ok());
    let (low, high) = (bounds.next().unwrap_or(32768), bounds.next().unwrap_or(60999));
    let outside: Vec<u16> = (20_000..=65_000).filter(|port| *port < low || *port > high).collect();
    if outside.len() >= 100 { outside } else { (20_000..=65_000).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ports_are_handed_out_once_and_lie_outside_the_outgoing_range() {
        let ports: Vec<Port> = (0..50).map(|_| Port::reserve().expect("a free port")).collect();
        let distinct: BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(distinct.len(), ports.len());
        assert!(Port::try_reserve(ports[0].number()).is_err());
    }

    #[test]
    fn a_port_in_use_is_not_handed_out() {
        let port = Port::reserve().expect("a free port");
        let number = port.number();
        let _stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).expect("reserved, so free");
        drop(port);
        assert!(Port::try_reserve(number).is_err());
    }

    #[test]
    fn candidates_follow_the_kernel() {
        assert!(!candidates("32768\t60999\n").contains(&40_000));
        assert!(candidates("32768\t60999\n").contains(&30_000));
        assert!(candidates("1024 65535").len() > 1000);
    }
}
