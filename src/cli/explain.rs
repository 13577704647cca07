//! `kscen explain`

use super::{Exit, Output};
use crate::reference::diagnostics::{codes, explain};
use crate::text::did_you_mean;
use clap::Args as ClapArgs;

/// Explains the code of a message: what it means, an example that gives it, how to mend it.
#[derive(ClapArgs)]
pub struct Args {
    /// The code, as it stands in brackets behind `error`; all codes where absent.
    code: Option<String>,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let Some(code) = &args.code else {
        codes().for_each(|code| output.data(code));
        return Exit::Pass;
    };
    // As it is copied from a message: with its brackets.
    let bare = code.trim_start_matches("error").trim_matches(['[', ']', ':', '`']);
    if let Some(text) = explain(bare) {
        output.data(&text);
        return Exit::Pass;
    }
    let help = did_you_mean(bare, codes())
        .map_or_else(|| "`kscen explain` lists the codes".to_owned(), |similar| format!("did you mean `{similar}`?"));
    output.line(&format!("there is no code `{bare}`: {help}"));
    Exit::Usage
}
