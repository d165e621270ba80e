//! `spec/openapi.json` is what the node serves. Written anew if `WEFT_WRITE_OPENAPI` is 1.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

#[test]
fn the_api_is_described_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/openapi.json");
    let served = serde_json::to_string_pretty(&weft_node::api::description()).unwrap() + "\n";
    if std::env::var("WEFT_WRITE_OPENAPI").is_ok_and(|value| value == "1") {
        std::fs::write(&path, &served).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == served,
        "spec/openapi.json is not what the node serves; write it anew with \
         WEFT_WRITE_OPENAPI=1 cargo test -p weft-node --test openapi"
    );
}
