//! Where the figures of runs can be looked at while they last: `--metrics`.

use super::Output;
use crate::expose::MetricsEndpoint;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// An address and a port; a port alone is one of this machine that others cannot reach.
///
/// # Errors
/// It is neither.
pub fn metrics_address(text: &str) -> Result<SocketAddr, String> {
    let here = |port: &str| Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?));
    let port = ["localhost:", ":"].into_iter().find_map(|start| text.strip_prefix(start)).unwrap_or(text);
    text.parse()
        .ok()
        .or_else(|| here(port))
        .ok_or_else(|| "give an address and a port, such as 127.0.0.1:9464, or a port alone".to_owned())
}

/// Listens there, where that is asked for.
///
/// # Errors
/// Why it cannot.
pub async fn expose(
    address: Option<SocketAddr>,
    is_quiet: bool,
    output: &Output,
) -> Result<Option<MetricsEndpoint>, String> {
    let Some(address) = address else { return Ok(None) };
    let endpoint = MetricsEndpoint::open(address).await.map_err(|error| {
        format!("the figures cannot be shown at {address}: {error}; choose another address or port with --metrics")
    })?;
    if !is_quiet {
        output.line(&format!("figures for Prometheus: {}", endpoint.url()));
    }
    Ok(Some(endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_for_this_machine() {
        for (text, expected) in [
            ("9464", "127.0.0.1:9464"),
            (":9464", "127.0.0.1:9464"),
            ("localhost:9464", "127.0.0.1:9464"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("0.0.0.0:9464", "0.0.0.0:9464"),
            ("[::1]:9464", "[::1]:9464"),
        ] {
            assert_eq!(metrics_address(text).map(|address| address.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for text in ["", "here", "127.0.0.1", "65536", "example.org:9464"] {
            assert!(metrics_address(text).is_err_and(|why| why.contains("127.0.0.1:9464")), "{text}");
        }
    }
}
