//! `kscen steps`

use super::{Exit, Output};
use crate::reference;
use crate::text::did_you_mean;
use crate::verbs::REGISTRY;
use clap::Args as ClapArgs;

/// Explains the verbs of the language.
#[derive(ClapArgs)]
pub struct Args {
    /// A verb; all in short where absent.
    verb: Option<String>,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let Some(name) = &args.verb else {
        for entry in REGISTRY {
            output.data(&format!("{:10} {}", entry.verb, reference::summary(entry)));
        }
        output.data("\n`kscen steps VERB` explains one, with an example.");
        return Exit::Pass;
    };
    match REGISTRY.verb(name) {
        Some(entry) => {
            output.data(&reference::page(entry));
            Exit::Pass
        }
        None => {
            let similar = did_you_mean(name, REGISTRY.iter().map(|entry| entry.verb));
            let help = similar.map_or_else(
                || "`kscen steps` lists the verbs".to_owned(),
                |similar| format!("did you mean `{similar}`?"),
            );
            output.line(&format!("there is no verb `{name}`: {help}"));
            Exit::Usage
        }
    }
}
