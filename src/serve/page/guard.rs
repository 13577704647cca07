//! What keeps other pages from using this one in its user's name: where a form came from, and what the browser is told to allow.

use axum::extract::Request;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;

/// Nothing from elsewhere, no inline script or style, and in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Adds to each answer what the browser is to allow.
pub async fn protected(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        // With `no-referrer` a browser says no origin with a form, and every form would be refused.
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether a form may be another page's. The service as a whole refuses what says that it comes from elsewhere; a form has to say that it
/// comes from here.
pub fn is_foreign(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // Older browsers say one of the two only.
    let is_own = match text("origin") {
        Some(origin) => origin.split_once("://").is_some_and(|(_, from)| Some(from) == text("host")),
        None => matches!(text("sec-fetch-site"), Some("same-origin" | "none")),
    };
    !method.is_safe() && !is_own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_taken_from_this_page_only() {
        const HERE: (&str, &str) = ("host", "127.0.0.1:8087");
        for (headers, expected) in [
            (vec![HERE, ("origin", "http://127.0.0.1:8087")], false),
            (vec![HERE, ("sec-fetch-site", "same-origin")], false),
            (vec![HERE, ("origin", "http://127.0.0.1:8088")], true),
            (vec![HERE, ("origin", "https://elsewhere.example")], true),
            (vec![HERE, ("origin", "null"), ("sec-fetch-site", "same-origin")], true),
            (vec![HERE, ("sec-fetch-site", "same-site")], true),
            (vec![HERE, ("sec-fetch-site", "cross-site")], true),
            (vec![HERE], true),
            (vec![("origin", "http://127.0.0.1:8087")], true),
        ] {
            let pairs =
                headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let map: HeaderMap = pairs.collect();
            assert_eq!(is_foreign(&Method::POST, &map), expected, "{headers:?}");
            assert!(!is_foreign(&Method::GET, &map), "looking changes nothing");
        }
    }
}
