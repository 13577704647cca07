//! The pages as a book: its contents list each page, links lead somewhere, and what pages show as scenarios can be used.

use crate::comparing::{acknowledged, golden, store};
use crate::goldens::{files, kscen, root};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a page")
}

/// Where the links of a page lead: files beside it, without anchors. Code is left out.
fn links(page: &str) -> Vec<String> {
    let mut fenced = false;
    let prose = page.lines().filter(|line| {
        fenced ^= line.trim_start().starts_with("```");
        !fenced && !line.starts_with("    ")
    });
    let prose: String = prose.collect::<Vec<_>>().join("\n");
    prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(|link| link.split('#').next().unwrap_or_default().to_owned())
        .filter(|link| !link.is_empty() && !link.contains("://") && !link.contains(' '))
        .collect()
}

#[test]
fn the_contents_list_every_page_and_no_other() {
    let docs = root().join("docs");
    let listed: BTreeSet<String> = links(&text(&docs.join("SUMMARY.md"))).into_iter().collect();
    let name = |file: &std::path::PathBuf| Some(file.file_name()?.to_str()?.to_owned());
    let mut pages: BTreeSet<String> = files("docs", "md").iter().filter_map(name).collect();
    pages.remove("SUMMARY.md");
    assert_eq!(listed, pages);
}

#[test]
fn every_link_leads_to_a_file() {
    let mut pages = files("docs", "md");
    pages.push(root().join("README.md"));
    let mut dead = Vec::new();
    for page in pages {
        let folder = page.parent().expect("a folder").to_owned();
        let missing = links(&text(&page)).into_iter().filter(|link| !folder.join(link).exists());
        dead.extend(missing.map(|link| format!("{}: {link}", page.display())));
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn links_are_found_in_prose_and_not_in_code() {
    let page = "[a](b.md#c) and [d](e.md), [f](#g)\n```\n[h](i.md)\n```\n    [j](k.md)\n[l](m.md)\n";
    assert_eq!(links(page), ["b.md", "e.md", "m.md"]);
}

/// The scenarios that a page shows: whole ones as they are, lists of steps within a scenario.
fn scenarios(page: &str) -> Vec<String> {
    page.split("\n```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .filter_map(|block| {
            let is_whole = block.lines().any(|line| line.starts_with("steps:"));
            let is_list = block.lines().all(|line| line.starts_with("- ") || line.starts_with("  "));
            match (is_whole && block.contains("name: "), is_list) {
                (true, _) => Some(format!("{block}\n")),
                (_, true) => Some(format!("name: Shown\nsteps:\n{block}\n")),
                _ => None,
            }
        })
        .collect()
}

/// Pages whose scenarios can be used as they stand; others show pieces, or what is wrong.
const SHOWING: [&str; 5] =
    ["docs/language.md", "docs/messages.md", "docs/first-scenario.md", "docs/soak.md", "README.md"];

#[test]
fn what_pages_show_can_be_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut wrong = Vec::new();
    for page in SHOWING {
        let shown = scenarios(&text(&root().join(page)));
        for (index, scenario) in shown.iter().enumerate() {
            let file = folder.path().join(format!("{index}.yaml"));
            std::fs::write(&file, scenario).expect("a scratch file");
            let printed = kscen(folder.path(), &["check", &format!("{index}.yaml")]);
            if printed.code != Some(0) {
                wrong.push(format!("{page}, block {}:\n{}", index + 1, printed.stderr));
            }
        }
        assert!(!shown.is_empty() || page == "README.md", "{page} shows nothing");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The commands that a page shows: indented or fenced lines that begin with `kscen`, without what a shell does with them.
fn commands(page: &str) -> Vec<Vec<String>> {
    let (mut fence, mut found) = (None, Vec::new());
    for line in page.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(language) };
            continue;
        }
        // Beside commands a console shows what they answer.
        let shown = match fence {
            Some("console") => line.strip_prefix("$ "),
            // A workflow's step may be one command.
            Some(_) => Some(line.trim_start().trim_start_matches("$ ").trim_start_matches("- run: ")),
            None => line.strip_prefix("    "),
        };
        let shown = shown.map(|shown| shown.trim_start_matches("target/release/"));
        let Some(arguments) = shown.and_then(|shown| shown.strip_prefix("kscen ")) else { continue };
        let of_shell = |word: &&str| ["#", "|", "&&", "||", "&", ";", "\\"].contains(word) || word.starts_with('>');
        let words = arguments.split_whitespace().take_while(|word| !of_shell(word));
        found.push(words.map(|word| word.trim_matches(['\'', '"']).to_owned()).collect());
    }
    found
}

#[test]
fn every_command_that_a_page_shows_is_understood() {
    let mut pages = files("docs", "md");
    pages.push(root().join("README.md"));
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in pages {
        for command in commands(&text(&page)) {
            seen += 1;
            if let Err(why) = kscen::testing::understands(command.iter().map(String::as_str)) {
                wrong.push(format!("{}: kscen {}\n{why}", page.display(), command.join(" ")));
            }
        }
    }
    assert!(seen > 30, "only {seen} commands are found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let shown = "text\n    kscen run a.yaml   # why\n```sh\n$ kscen fetch --kafka '>=4' > list\nkscen x\n```\nkscen is no command\n";
    assert_eq!(commands(shown), [vec!["run", "a.yaml"], vec!["fetch", "--kafka", ">=4"], vec!["x"]]);
}

/// The commands of a workflow's step, as its shell gets them.
fn script(page: &str, step: &str) -> String {
    let behind = page.split_once(&format!("- name: {step}\n")).expect("the step").1;
    let lines = behind.split_once("run: |\n").expect("its commands").1;
    let depth = |line: &str| line.len() - line.trim_start().len();
    let own = depth(lines);
    let lines: Vec<&str> = lines.lines().take_while(|line| depth(line) >= own).map(|line| &line[own..]).collect();
    lines.join("\n")
}

#[test]
fn the_nightly_recipe_keeps_its_first_night_and_fails_by_what_is_worse() {
    let folder = tempfile::tempdir().expect("a folder");
    let (at, summary) = (folder.path(), folder.path().join("summary.md"));
    let shown = script(&text(&root().join("docs/ci.md")), "no worse than the first night that passed");
    let script = shown.replace("target/release/kscen", env!("CARGO_BIN_EXE_kscen"));
    let night = |acked| {
        store(at, "results/night", &acknowledged(golden(), acked));
        // As GitHub calls it.
        let mut shell = Command::new("bash");
        let output = shell.args(["-e", "-c", &script]).current_dir(at).env("GITHUB_STEP_SUMMARY", &summary).output();
        let output = output.expect("bash starts");
        let first = acknowledged(golden(), 1000).to_string();
        assert!(text(&at.join("baseline/night/result.json")) == first, "it stays the first night");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (acked, code) in [(1000, 0), (1000, 0), (700, 1), (1000, 0)] {
        let (ended, said) = night(acked);
        assert_eq!(ended, Some(code), "{acked}: {said}");
        let junit = text(&at.join("results/compare.xml"));
        assert_eq!(junit.contains("<failure"), code == 1, "{junit}");
    }
    assert_eq!(text(&summary).matches("# Comparison").count(), 4);
    assert!(text(&summary).contains("**WORSE** | load: acked | 1,000 | 700"), "{}", text(&summary));
}

/// Each recipe is a file that is checked with all others; here, that the page has them all, and no fewer than twenty.
#[test]
fn the_cookbook_has_every_scenario() {
    let page = text(&root().join("docs/cookbook.md"));
    let listed: BTreeSet<String> =
        links(&page).into_iter().filter_map(|link| Some(link.strip_prefix("../scenarios/")?.to_owned())).collect();
    let scenarios = root().join("scenarios");
    let name = |file: &std::path::PathBuf| Some(file.strip_prefix(&scenarios).ok()?.to_str()?.to_owned());
    let all = files("scenarios", "yaml").iter().filter_map(name).collect::<Vec<_>>();
    let shipped = |file: &&String| !file.contains('/') || file.starts_with("backup/") && !file.contains("fragments");
    let missing: Vec<&String> = all.iter().filter(shipped).filter(|file| !listed.contains(*file)).collect();
    assert!(missing.is_empty(), "the cookbook does not have {missing:?}");
    assert!(listed.len() >= 20, "{listed:?}");
}

/// The keys of a schema and of these of its definitions; of all where none is named.
fn keys(schema: &str, definitions: &[&str]) -> BTreeSet<String> {
    let schema = text(&root().join("schemas").join(schema));
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("a schema");
    let all = schema["definitions"].as_object().expect("definitions").iter();
    let wanted = all.filter(|(name, _)| definitions.is_empty() || definitions.contains(&name.as_str()));
    let parts = wanted.map(|(_, part)| part).chain([&schema]).filter_map(|part| part["properties"].as_object());
    parts.flat_map(|properties| properties.keys().cloned()).collect()
}

#[test]
fn the_pages_about_files_name_every_key() {
    let page = |name: &str| text(&root().join("docs").join(name));
    let verbs = page("verbs.md");
    let is_verb = |key: &String| verbs.contains(&format!("\n## {key}\n"));
    let of_steps = keys("scenario.json", &["Step"]).into_iter().filter(|key| !is_verb(key)).collect();
    for (name, keys) in [("language.md", of_steps), ("project-file.md", keys("project.json", &[]))] {
        let missing: Vec<&String> = keys.iter().filter(|key| !page(name).contains(&format!("`{key}`"))).collect();
        assert!(!keys.is_empty() && missing.is_empty(), "{name} does not name {missing:?}");
    }
}
