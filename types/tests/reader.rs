//! Has the independent reader in `spec/reader` check the golden vectors, and proves that it can
//! fail. Needs Node and npm; without them the tests fail.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "the reader's input and output are files")]

mod npm;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use npm::{Package, text};
use serde_json::{Value, json};

static READER: Package = Package::at("spec/reader");

#[test]
fn agrees_with_every_vector() {
    let output = check(&vectors());
    let said = text(&output);
    assert!(output.status.success(), "the reader disagrees:\n{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("ok ")).collect();
    for (kind, file) in files() {
        let count = file["vectors"].as_array().unwrap().len();
        let expected = format!("ok {kind} {count} vectors");
        assert!(lines.contains(&expected.as_str()), "no line \"{expected}\" in:\n{said}");
    }
    assert_eq!(lines.len(), files().len(), "one line for each file:\n{said}");
}

#[test]
fn is_well_typed() {
    let output = READER.run("npm", &["run", "--silent", "check"]);
    assert!(output.status.success(), "tsc:\n{}", text(&output));
}

/// In every file, one vector at a time: the reader must name that vector and no other.
#[test]
fn notices_any_flipped_digit() {
    for round in 0..4 {
        let directory = copy(&format!("flipped-{round}"));
        let mut expected = BTreeSet::new();
        for (kind, mut file) in files() {
            let vectors = file["vectors"].as_array_mut().unwrap();
            // Steps that share no factor with most counts, so that rounds take different places.
            let place = (round * 7 + 1) % vectors.len();
            let vector = &mut vectors[place];
            expected.insert(format!("FAIL {kind} {}", vector["name"]));
            flip(vector, round * 5 + 2);
            fs::write(directory.join(format!("{kind}.json")), file.to_string()).unwrap();
        }
        let output = check(&directory);
        let said = text(&output);
        assert!(!output.status.success(), "the reader noticed nothing:\n{said}");
        let failed: BTreeSet<String> = said
            .lines()
            .filter(|line| line.starts_with("FAIL"))
            .map(|line| line.split_once("\": ").map_or(line, |(named, _)| named).to_owned() + "\"")
            .collect();
        assert_eq!(failed, expected, "round {round}:\n{said}");
    }
}

#[test]
fn refuses_files_that_are_not_as_they_should_be() {
    let directory = copy("damaged");
    let file = |kind: &str| directory.join(format!("{kind}.json"));
    fs::remove_file(file("block")).unwrap();
    fs::write(file("evidence"), "").unwrap();
    fs::write(file("header"), json!({ "kind": "header", "vectors": [] }).to_string()).unwrap();
    fs::copy(file("signing"), file("receipt")).unwrap();
    expect_failures(
        &directory,
        &[
            "FAIL block: ENOENT",
            "FAIL evidence: Unexpected end of JSON",
            "FAIL header: the file has no vectors",
            "FAIL receipt: expected a file of kind",
        ],
    );
}

#[test]
fn refuses_a_kind_it_does_not_know() {
    let directory = copy("unknown");
    fs::copy(directory.join("vote.json"), directory.join("ballot.json")).unwrap();
    expect_failures(&directory, &["FAIL ballot.json: no kind of vectors has that name"]);
}

/// Runs the reader, which must fail with lines that begin like these.
fn expect_failures(directory: &Path, expected: &[&str]) {
    let output = check(directory);
    let said = text(&output);
    assert!(!output.status.success(), "the reader noticed nothing:\n{said}");
    let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("FAIL")).collect();
    let alike = failed.iter().zip(expected).all(|(line, start)| line.starts_with(start));
    assert!(alike && failed.len() == expected.len(), "expected {expected:#?}, got:\n{said}");
}

/// Flips the lowest bit of one hex digit somewhere in a vector, which `choice` picks.
fn flip(vector: &mut Value, choice: usize) {
    let mut found = Vec::new();
    collect_hex(vector, &mut found);
    let count = found.len();
    let text = found.swap_remove(choice % count);
    let at = 2 + choice % (text.len() - 2);
    let digit = text.as_bytes()[at] as char;
    let flipped = char::from_digit(digit.to_digit(16).unwrap() ^ 1, 16).unwrap();
    text.replace_range(at..=at, &flipped.to_string());
}

fn collect_hex<'a>(value: &'a mut Value, found: &mut Vec<&'a mut String>) {
    match value {
        Value::String(text) if text.starts_with("0x") && text.len() > 2 => found.push(text),
        Value::Array(items) => items.iter_mut().for_each(|item| collect_hex(item, found)),
        Value::Object(fields) => fields.values_mut().for_each(|field| collect_hex(field, found)),
        _ => {}
    }
}

/// Every file of vectors, by kind.
fn files() -> Vec<(String, Value)> {
    let mut files: Vec<(String, Value)> = fs::read_dir(vectors())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let kind = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (kind, serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap())
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

/// A copy of all vectors, to damage.
fn copy(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reader").join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).unwrap();
    }
    fs::create_dir_all(&directory).unwrap();
    for (kind, _) in files() {
        let file = format!("{kind}.json");
        fs::copy(vectors().join(&file), directory.join(&file)).unwrap();
    }
    directory
}

/// Runs the reader over a directory of vectors.
fn check(directory: &Path) -> Output {
    READER.run("node", &["--import", "tsx", "src/main.ts", directory.to_str().unwrap()])
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors")
}
