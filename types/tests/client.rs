//! Has the client for searchers in `clients/typescript` check itself: against the golden vectors, and
//! against nodes that it starts. Needs Node and npm; without them the tests fail.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod npm;

use npm::{Package, text};

static CLIENT: Package = Package::at("clients/typescript");

#[test]
fn is_well_typed() {
    let output = CLIENT.run("npm", &["run", "--silent", "check"]);
    assert!(output.status.success(), "tsc:\n{}", text(&output));
}

#[test]
fn passes_its_tests() {
    let output = CLIENT.run("npm", &["run", "--silent", "test"]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    // Its runner succeeds without tests, too.
    let count = |what: &str| {
        let start = format!("ℹ {what} ");
        let line = said.lines().find_map(|line| line.strip_prefix(&start));
        line.and_then(|digits| digits.parse::<u32>().ok())
            .unwrap_or_else(|| panic!("no line \"{start}..\" in:\n{said}"))
    };
    assert!(count("pass") > 30 && count("pass") == count("tests"), "{said}");
}

/// As a program would that has it among its packages: compiled, and without a loader.
#[test]
fn can_be_imported_once_built() {
    let output = CLIENT.run("npm", &["run", "--silent", "build"]);
    assert!(output.status.success(), "tsc:\n{}", text(&output));
    let program = "import { Key } from '@weft/searcher';
        console.log(new Key('07'.repeat(32)).address)";
    let output = CLIENT.run("node", &["--input-type=module", "--eval", program]);
    let key = weft_types::SecretKey::from_bytes([7; 32]).unwrap();
    let address = format!("{:#x}", key.address());
    assert_eq!(text(&output).trim(), address);
}
