//! What is in the messages of `produce`, and how kscen marks them.

use super::Produce;
use super::payload::Payload;
use crate::load::payload::{IdentityPlace, MessageTemplate, MessageTemplateError};
use crate::text::{Problem, did_you_mean, escape};
use crate::verb::CheckContext;

impl Produce {
    /// Checks payload, headers and the place of the identity.
    pub(super) fn check_content(&self, cx: &mut CheckContext<'_>) {
        self.payload.check(self.size, self.identity, cx);
        for (name, value) in &self.headers {
            check_template(&format!("/headers/{}", escape(name)), value, cx);
        }
        if let Payload::Template(text) = &self.payload {
            check_template("/payload/template", text, cx);
        }
        if self.key.is_given() && self.payload.has_keys() {
            let problem = "the payload has keys of its own, and `key` gives others";
            cx.report("/key", Problem::new("contradiction", problem).help("leave out `key`, or the payload's"));
        }
        let Some(place) = self.identity else { return };
        if let Some(why) = self.payload.refuses(place) {
            cx.report("/identity", Problem::new("does-not-apply", why));
        }
        if let (IdentityPlace::None, Some(guarantee)) = (place, cx.guarantee) {
            let problem =
                format!("`guarantee: {guarantee}` needs messages that can be told apart, and these are not marked");
            cx.report(
                "/identity",
                Problem::new("no-identity", problem)
                    .help("`identity: header` leaves the value as it is; without a guarantee, check counts: `topic: { count: … }`"),
            );
        }
    }

    /// How its messages are marked, for the line that describes the step: nothing where that is not seen in what the user gave.
    pub(super) fn marks(&self) -> &'static str {
        let altered = matches!(self.payload, Payload::Template(_) | Payload::File(_));
        match self.identity {
            None if altered => ", each marked with a field `kscen`, or a header where it is no JSON object",
            None => "",
            Some(IdentityPlace::Field) => ", each marked with a field `kscen`",
            Some(IdentityPlace::Prefix) => ", each marked with 40 bytes before its value",
            Some(IdentityPlace::Header) => ", each marked with a header `kscen`",
            Some(IdentityPlace::None) => ", unmarked",
        }
    }
}

fn check_template(pointer: &str, text: &str, cx: &mut CheckContext<'_>) {
    let Err(error) = MessageTemplate::check(text) else { return };
    let help = match &error {
        MessageTemplateError::Unknown(name) => did_you_mean(name, MessageTemplate::names()).map_or_else(
            || "`{{{{` stands for the two braces themselves".to_owned(),
            |near| format!("did you mean `{near}`?"),
        ),
        MessageTemplateError::Open => "close it, as in `{{index}}`".to_owned(),
    };
    cx.report(pointer, Problem::new("unknown-placeholder", error.to_string()).help(help));
}
