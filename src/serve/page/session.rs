//! Who looks at the page: a token in a cookie that no script reads and no other page sends.

use crate::serve::problem::HttpProblem;
use crate::serve::service::Service;
use crate::serve::tokens::Caller;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, HeaderValue};

/// The name of the cookie. Browsers take it over TLS only from the service itself, and not from a neighbour in its domain.
const fn name(tls: bool) -> &'static str {
    if tls { "__Host-kscen_token" } else { "kscen_token" }
}

/// Who looks; anyone where the service has no tokens.
///
/// # Errors
/// Nobody is signed in, or the token is not known any more.
pub fn caller(service: &Service, headers: &HeaderMap) -> Result<Caller, HttpProblem> {
    if !service.has_tokens() {
        return service.caller(&HeaderMap::new());
    }
    match token(headers, name(service.settings().tls.is_some())) {
        Some(token) => of_token(service, token),
        None => service.caller(&HeaderMap::new()),
    }
}

/// Whose token this is.
///
/// # Errors
/// It is nobody's.
pub fn of_token(service: &Service, token: &str) -> Result<Caller, HttpProblem> {
    let mut headers = HeaderMap::new();
    // A text that no header can hold is no token.
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap_or(HeaderValue::from_static("Bearer -"));
    headers.insert(AUTHORIZATION, value);
    service.caller(&headers)
}

/// The value of `Set-Cookie` that keeps a token until the browser is closed, or forgets it.
pub fn cookie(token: Option<&str>, tls: bool) -> Option<HeaderValue> {
    let secure = if tls { "; Secure" } else { "" };
    let fate = if token.is_some() { "" } else { "; Max-Age=0" };
    let token = token.unwrap_or_default();
    HeaderValue::from_str(&format!("{}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{fate}", name(tls))).ok()
}

fn token<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(found, _)| *found == name).map(|(_, value)| value).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_for_this_page_only_and_is_read_back() {
        let set = cookie(Some("kscen_1"), true).expect("a header");
        let set = set.to_str().expect("text");
        assert_eq!(set, "__Host-kscen_token=kscen_1; Path=/; HttpOnly; SameSite=Strict; Secure");
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=b; __Host-kscen_token=kscen_1"));
        assert_eq!((token(&headers, name(true)), token(&headers, name(false))), (Some("kscen_1"), None));
        assert!(cookie(None, false).is_some_and(|set| set.to_str().is_ok_and(|set| set.ends_with("; Max-Age=0"))));
        assert_eq!(cookie(Some("a\nb"), false), None, "a line break ends no header");
    }
}
