//! The first minutes with the program: a new scenario, what there is, what the verbs are.

use crate::goldens::kscen;

#[test]
fn a_new_scenario_is_valid_and_never_overwrites() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let made = kscen(folder.path(), &["new", "orders"]);
    assert_eq!(
        (made.code, made.stderr.as_str()),
        (Some(0), "wrote orders.yaml\nrun it with `kscen run orders.yaml`\n")
    );
    let text = std::fs::read_to_string(folder.path().join("orders.yaml")).expect("it was written");
    assert!(!text.contains("{file}") && !text.contains("{schema}"), "{text}");
    assert_eq!(kscen(folder.path(), &["check", "orders.yaml"]).stderr, "ok 1 scenario\n");
    let again = kscen(folder.path(), &["new", "orders.yaml"]);
    assert!(again.code == Some(2) && again.stderr.contains("error[file-exists]"), "{}", again.stderr);
    let nowhere = kscen(folder.path(), &["new", "no/such/folder"]);
    assert!(nowhere.code == Some(2) && nowhere.stderr.contains("error[file-not-writable]"), "{}", nowhere.stderr);
    // Where there are scenarios, it goes to them.
    std::fs::create_dir(folder.path().join("scenarios")).expect("a folder");
    assert_eq!(kscen(folder.path(), &["new", "payments"]).code, Some(0));
    assert!(folder.path().join("scenarios/payments.yaml").is_file());
}

#[test]
fn listing_takes_what_there_is() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let empty = kscen(folder.path(), &["list", "."]);
    assert_eq!((empty.code, empty.stdout.as_str()), (Some(5), ""));
    let missing = kscen(folder.path(), &["list", "nowhere.yaml"]);
    assert!(missing.code == Some(2) && missing.stderr.contains("error[no-such-file]"), "{}", missing.stderr);
    std::fs::write(folder.path().join("a.yaml"), "name: First\ntags: [x, y]\nsteps:\n  - wait: 1s\n").expect("a file");
    std::fs::write(folder.path().join("b.yaml"), "name: [\n").expect("a file");
    let listed = kscen(folder.path(), &["list", "a.yaml", ".", "a.yaml"]);
    assert_eq!(listed.stdout, "a.yaml  First  [x, y]\n");
    assert!(listed.code == Some(2) && listed.stderr.contains("b.yaml:"), "{}", listed.stderr);
}

#[test]
fn the_verbs_explain_themselves() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let all = kscen(folder.path(), &["steps"]);
    for entry in kscen::testing::REGISTRY {
        assert!(all.stdout.lines().any(|line| line.starts_with(&format!("{} ", entry.verb))), "{}", entry.verb);
        let page = kscen(folder.path(), &["steps", entry.verb]);
        assert!(page.code == Some(0) && page.stdout.contains("Example"), "{}", page.stdout);
    }
    let typo = kscen(folder.path(), &["steps", "prodcue"]);
    assert!(typo.code == Some(2) && typo.stderr.contains("did you mean `produce`?"), "{}", typo.stderr);
}
