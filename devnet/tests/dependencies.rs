//! Dependencies among the crates go one way.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use weft_devnet::programs::workspace;

/// What each crate may depend on, beside what that depends on in turn.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("weft-types", &[]),
    ("weft-auction", &["weft-types"]),
    ("weft-ledger", &["weft-auction"]),
    ("weft-consensus", &["weft-ledger"]),
    ("weft-l1", &["weft-types"]),
    ("weft-node", &["weft-consensus", "weft-l1"]),
    ("weft-rollup-adapter", &["weft-l1"]),
    ("weft-devnet", &["weft-node", "weft-rollup-adapter"]),
];

/// What a rollup that links the adapter must not pull in.
const HEAVY: [&str; 3] = ["arc-malachitebft-engine", "libp2p", "sled"];

/// For the platform this runs on: what only others need, cargo has not downloaded.
fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = run(Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(["--filter-platform", &host()])
        .current_dir(workspace()));
    serde_json::from_str(&output).unwrap()
}

fn host() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = run(Command::new(rustc).arg("-vV"));
    version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The normal dependencies of every package, by name.
fn normal_dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let names: BTreeMap<String, String> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let entry = found.entry(names[&text(&node["id"])].clone()).or_default();
        for dependency in node["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                entry.insert(names[&text(&dependency["pkg"])].clone());
            }
        }
    }
    found
}

/// Everything a package pulls in.
fn closure(of: &str, all: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![of.to_owned()];
    while let Some(next) = left.pop() {
        for dependency in all.get(&next).into_iter().flatten() {
            if found.insert(dependency.clone()) {
                left.push(dependency.clone());
            }
        }
    }
    found
}

#[test]
fn crates_know_only_those_before_them() {
    let metadata = metadata();
    let all = normal_dependencies(&metadata);
    let members = metadata["workspace_members"].as_array().unwrap().len();
    assert_eq!(members, ALLOWED.len(), "a crate is missing from this test");
    let allowed: BTreeMap<String, BTreeSet<String>> = ALLOWED
        .iter()
        .map(|(name, before)| {
            ((*name).to_owned(), before.iter().map(|n| (*n).to_owned()).collect())
        })
        .collect();
    for (name, _) in ALLOWED {
        let may = closure(name, &allowed);
        let does = all[name].iter().filter(|dependency| dependency.starts_with("weft-"));
        let strays: Vec<&String> = does.filter(|dependency| !may.contains(*dependency)).collect();
        assert!(strays.is_empty(), "{name} depends on {strays:?}");
    }
}

#[test]
fn the_adapter_pulls_in_no_node() {
    let all = normal_dependencies(&metadata());
    let adapter = closure("weft-rollup-adapter", &all);
    for heavy in HEAVY {
        assert!(!adapter.contains(heavy), "the adapter pulls in {heavy}");
        assert!(closure("weft-node", &all).contains(heavy), "{heavy} is not in the node either");
    }
}
