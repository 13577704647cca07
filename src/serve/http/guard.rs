//! Requests that a browser was talked into: of a page of somebody else, or under a name that was made to lead here.

use crate::serve::problem::HttpProblem;
use crate::serve::service::Service;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use std::net::IpAddr;

/// Holds where a request says that it comes from, and goes to, against where it may.
///
/// # Errors
/// It was sent by another page, or without tokens under a name that is not this machine's own: 403.
pub(super) fn check(service: &Service, request: &Request) -> Result<(), HttpProblem> {
    let host = text(request.headers(), header::HOST).or_else(|| request.uri().authority().map(|at| at.as_str()));
    if !service.has_tokens() && host.is_some_and(|host| !is_here(host)) {
        // A name of somebody else may be made to lead to 127.0.0.1; their page is then of the same origin.
        let problem = refused("without tokens the service answers on this machine only, under its own names");
        return Err(problem.help("use http://127.0.0.1 or http://localhost, or start it with tokens"));
    }
    match text(request.headers(), header::ORIGIN) {
        Some(origin) if origin.split_once("://").map(|(_, at)| at) != host => {
            Err(refused("the request was sent by a page of another origin"))
        }
        _ => Ok(()),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn refused(detail: &str) -> HttpProblem {
    HttpProblem::new(StatusCode::FORBIDDEN, "origin", detail)
}

/// Whether a host, with its port or without, is this machine by its own names.
fn is_here(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_here;

    #[test]
    fn only_its_own_names_are_this_machine() {
        for here in ["localhost", "LOCALHOST:8087", "127.0.0.1:1", "127.1.2.3", "[::1]:80", "[::1]"] {
            assert!(is_here(here), "{here}");
        }
        for there in ["example.org", "127.0.0.1.example.org", "localhost.example.org:80", "10.0.0.1", "[fe80::1]", ""] {
            assert!(!is_here(there), "{there}");
        }
    }
}
