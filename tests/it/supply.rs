//! What the images are built from is what was taken up.

use crate::goldens::root;
use std::fs;
use std::path::Path;
use std::process::Command;

fn held(list: &Path, folder: &Path) -> (Option<i32>, String) {
    let output = Command::new(root().join("stack/check-sums")).arg(list).arg(folder).output().expect("bash starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_file_of_an_image_that_is_another_one_missing_or_not_listed_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (jars, list) = (folder.path().join("jars"), folder.path().join("kafka-0.sha256"));
    fs::create_dir(&jars).expect("a folder");
    fs::write(jars.join("a.jar"), "a").expect("a file");
    let sum = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a.jar\n";
    fs::write(&list, sum).expect("a list");
    assert_eq!(held(&list, &jars), (Some(0), String::new()));
    fs::create_dir(jars.join("inner")).expect("a folder");
    fs::write(jars.join("inner/b.jar"), "b").expect("a file");
    let (code, said) = held(&list, &jars);
    assert!(code == Some(1) && said.contains("inner/b.jar: the list does not name it"), "{said}");
    fs::remove_dir_all(jars.join("inner")).expect("ours");
    for (text, words) in [
        (sum.replace("ca97", "ca98"), "a.jar: FAILED"),
        (format!("{sum}{}", sum.replace("a.jar", "c.jar")), "c.jar: FAILED open or read"),
        ("no list\n".to_owned(), "the list does not name it"),
    ] {
        fs::write(&list, text).expect("a list");
        let (code, said) = held(&list, &jars);
        assert!(code == Some(1) && said.contains(words) && said.contains("do not use it"), "{said}");
    }
    // A version that nobody has taken up is said to be one.
    let (code, said) = held(&folder.path().join("kafka-9.sha256"), &jars);
    assert!(code == Some(0) && said.contains("NOT PINNED: kafka-9"), "{said}");
}

/// The images that the scripts build by themselves have their lists, and no image of the compose file floats on `latest`.
#[test]
fn what_is_built_by_itself_is_pinned() {
    let script = fs::read_to_string(root().join("stack/build-images.sh")).expect("a script");
    for (variable, list) in
        [("kafka=${KAFKA_VERSION:-", "kafka-"), ("debezium=${DEBEZIUM_VERSION:-", "debezium-plugin-")]
    {
        let version = script.split_once(variable).and_then(|(_, rest)| rest.split_once('}')).expect("a version").0;
        let file = root().join(format!("stack/checksums/{list}{version}.sha256"));
        assert!(file.is_file(), "{}", file.display());
    }
    let mvn: Vec<_> = script.lines().filter(|line| line.trim_start().starts_with("mvn ")).collect();
    assert!(mvn.len() == 2 && mvn.iter().all(|line| line.contains(" -C ")), "{mvn:?}");
    assert_eq!(script.matches("/check-sums\"").count(), mvn.len());
    let compose = fs::read_to_string(root().join("stack/docker-compose.yml")).expect("a compose file");
    for line in compose.lines().filter(|line| line.trim_start().starts_with("image:")) {
        let image = line.split_once(":-").expect("it can be replaced, by one with a digest").1;
        let tag = image.split_once(':').expect("a tag").1;
        assert!(tag.contains(|c: char| c.is_ascii_digit()), "{line}");
    }
}
