//! What an object store says when it fails, as an error of this system.

use crate::ground::innermost;
use crate::text::{Redactor, is_credential, one_line, short};
use object_store::Error;
use std::io::{self, ErrorKind};
use std::sync::LazyLock;

/// The most characters of an answer that are told.
const MOST: usize = 300;

/// What the variables begin with that stores are reached with.
const STORES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
/// Shorter values stand in every text.
const TELLING: usize = 4;
/// Hides what this process was given to log in with: a store may repeat what it was sent.
static HIDDEN: LazyLock<Redactor> = LazyLock::new(|| {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    hidden(std::env::vars_os().filter_map(text))
});

fn hidden(variables: impl Iterator<Item = (String, String)>) -> Redactor {
    let of_store = |name: &str| STORES.iter().any(|prefix| name.starts_with(prefix));
    let is_secret = |name: &str| is_credential(name) || name.contains("KEY") || name.contains("SAS");
    let secrets: Vec<String> = variables
        .filter(|(name, value)| of_store(name) && is_secret(name) && value.len() >= TELLING)
        .map(|(_, value)| value)
        .collect();
    Redactor::new(secrets.iter().map(String::as_str))
}

/// Kind and words of an error, without credentials. The answer of the store is a document, of which the message is told.
pub(in crate::backup::store) fn in_words(error: &Error) -> io::Error {
    let kind = match error {
        Error::NotFound { .. } => ErrorKind::NotFound,
        Error::AlreadyExists { .. } => ErrorKind::AlreadyExists,
        Error::Precondition { .. } | Error::NotModified { .. } => ErrorKind::ResourceBusy,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => ErrorKind::PermissionDenied,
        Error::NotSupported { .. } | Error::NotImplemented { .. } => ErrorKind::Unsupported,
        _ => ErrorKind::Other,
    };
    let said = brief(&HIDDEN.text(&innermost(error).to_string()));
    let words = match kind {
        ErrorKind::NotFound => format!("it is not there ({said})"),
        ErrorKind::AlreadyExists => "it is there already".to_owned(),
        ErrorKind::ResourceBusy => "it was changed by another meanwhile".to_owned(),
        ErrorKind::PermissionDenied => {
            format!("the store refuses it: {said}; check the credentials and what they may do")
        }
        _ => said,
    };
    io::Error::new(kind, words)
}

/// The message of an S3 or Azure document, or the beginning of anything else, on one line.
fn brief(text: &str) -> String {
    let field = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(field, _)| field.trim())
    };
    let told = match (field("Code"), field("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        _ => text.to_owned(),
    };
    short(&one_line(&told), MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_logs_in_with_is_hidden() {
        let variables = [
            ("AWS_SECRET_ACCESS_KEY", "one-hunter"),
            ("AWS_SESSION_TOKEN", "two-hunter"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "three-hunter"),
            ("AWS_REGION", "eu-hunter"),
            ("PATH", "/hunter"),
        ];
        let hidden = hidden(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter());
        let text = "one-hunter two-hunter three-hunter eu-hunter /hunter dHdvLWh1bnRlcg==";
        let shown = hidden.text(text);
        assert!(shown.starts_with("*** *** *** eu-hunter /hunter ***") && !shown.contains("dHdv"), "{shown}");
    }

    #[test]
    fn of_a_document_the_message_is_told_and_of_other_answers_the_beginning() {
        let document = "Server returned 403: <?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code>\
            <Message>Access\n Denied</Message><RequestId>7</RequestId></Error>";
        let refused = Error::PermissionDenied { path: "a".to_owned(), source: document.into() };
        let told = in_words(&refused);
        assert_eq!(told.kind(), ErrorKind::PermissionDenied);
        assert_eq!(
            told.to_string(),
            "the store refuses it: AccessDenied: Access Denied; check the credentials and what they may do"
        );
        let long = Error::Generic { store: "S3", source: "é".repeat(1000).into() };
        assert_eq!(in_words(&long).to_string(), format!("{}…", "é".repeat(MOST)));
    }
}
