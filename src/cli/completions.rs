//! `kscen completions`

use super::{Cli, Exit, Output};
use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::Shell;

/// Prints completions for a shell. Those of bash, zsh and fish know the project's environments, the tags of the scenarios in the folder
/// `scenarios`, verbs and codes.
#[derive(ClapArgs)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

/// Options whose values `kscen complete` names, and as what.
const OPTIONS: [(&str, &str); 3] = [("env", "environments"), ("tag", "tags"), ("exclude-tag", "tags")];
/// Commands whose only argument it names.
const ARGUMENTS: [(&str, &str, &str); 2] = [("steps", "verb", "verbs"), ("explain", "code", "codes")];
/// Asks for names in bash, in front of what clap has made.
const BASH: &str = include_str!("completions.bash");
/// Asks for names in zsh.
const ZSH: &str = include_str!("completions.zsh");
/// How clap ends a line for zsh about a value of which it knows nothing.
const UNKNOWN: &str = ":_default' \\";

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    output.data(text(args.shell).trim_end());
    Exit::Pass
}

fn text(shell: Shell) -> String {
    // The generator gives up on whom it cannot write to: it writes to memory.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kscen", &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    match shell {
        Shell::Bash => text + BASH,
        Shell::Zsh => zsh(&text),
        Shell::Fish => text + &fish(),
        _ => text,
    }
}

/// Each value that kscen can name is asked for.
fn zsh(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let head = line.split('[').next().unwrap_or_default();
        let of_option =
            OPTIONS.iter().find(|(option, _)| head.ends_with(&format!("--{option}="))).map(|(_, names)| names);
        let of_argument = || ARGUMENTS.iter().find(|(_, name, _)| line.starts_with(&format!("'::{name} -- ")));
        match (of_option.or_else(|| of_argument().map(|(_, _, names)| names)), line.strip_suffix(UNKNOWN)) {
            (Some(names), Some(known)) => lines.push_str(&format!("{known}:_kscen_names {names}' \\\n")),
            _ => lines.push_str(&format!("{line}\n")),
        }
    }
    lines.replacen("autoload -U is-at-least\n", &format!("autoload -U is-at-least\n{ZSH}"), 1)
}

/// What is added for fish, which takes several rules for one option.
fn fish() -> String {
    let of = |command: &str| format!("complete -c kscen -n \"__fish_kscen_using_subcommand {command}\"");
    let ask = |names: &str| format!("-a \"(kscen complete {names} 2>/dev/null)\"\n");
    let mut rules = String::new();
    for command in Cli::command().get_subcommands() {
        for (option, names) in OPTIONS {
            if command.get_arguments().any(|argument| argument.get_long() == Some(option)) {
                rules.push_str(&format!("{} -l {option} -x {}", of(command.get_name()), ask(names)));
            }
        }
    }
    for (command, _, names) in ARGUMENTS {
        rules.push_str(&format!("{} -f {}", of(command), ask(names)));
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_asks_for_what_a_project_has() {
        let zsh = text(Shell::Zsh);
        for names in ["environments", "tags", "verbs", "codes"] {
            assert!(zsh.contains(&format!(":_kscen_names {names}' \\\n")), "{names}");
        }
        assert_eq!(zsh.matches("_kscen_names() {").count(), 1);
        assert!(!zsh.lines().any(|line| line.contains("--env=[") && line.ends_with(UNKNOWN)), "{zsh}");
        let fish = text(Shell::Fish);
        for rule in [
            "using_subcommand run\" -l env -x -a \"(kscen complete environments 2>/dev/null)\"\n",
            "using_subcommand list\" -l exclude-tag -x -a \"(kscen complete tags 2>/dev/null)\"\n",
            "using_subcommand steps\" -f -a \"(kscen complete verbs 2>/dev/null)\"\n",
        ] {
            assert_eq!(fish.matches(rule).count(), 1, "{rule}");
        }
        assert!(text(Shell::Bash).ends_with(BASH) && !text(Shell::Elvish).contains("kscen complete "));
    }
}
