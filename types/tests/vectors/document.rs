//! A file of golden vectors: built from values, then compared with `spec/vectors`, or written
//! there if `WEFT_WRITE_VECTORS` is 1.
//!
//! Building a vector already checks it: bytes decode to the value they came from, what is meant
//! not to decode does not, and a check says what the vector's author expected of it.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use weft_types::hash::keccak256;

/// Encodings longer than this may stand without their content.
const LONG: usize = 1200;

/// Columns of a file's lines, but for what cannot be broken.
const WIDTH: usize = 100;

/// One golden vector.
#[derive(Serialize)]
pub(crate) struct Vector {
    name: String,
    context: Map<String, Value>,
    value: Value,
    borsh: Value,
    hashes: Map<String, Value>,
    verdict: Value,
}

impl Vector {
    /// A vector whose content is the value's own JSON.
    pub(crate) fn of<T>(name: &str, value: &T) -> Self
    where
        T: BorshSerialize + BorshDeserialize + Serialize + DeserializeOwned + PartialEq + Debug,
    {
        let content = serde_json::to_value(value).unwrap();
        let back: T = serde_json::from_value(content.clone()).unwrap();
        assert_eq!(&back, value, "{name}: JSON does not come back");
        Self::with_content(name, value, content)
    }

    /// A vector with content spelled out, for values without a JSON form of their own.
    pub(crate) fn with_content<T>(name: &str, value: &T, content: Value) -> Self
    where
        T: BorshSerialize + BorshDeserialize + PartialEq + Debug,
    {
        let bytes = encode(name, value);
        Self::new(name, content, json!(hex(&bytes)))
    }

    /// A vector too long to show its content. A `unit` that it repeats often is written once.
    pub(crate) fn long<T>(name: &str, value: &T, unit: &[u8]) -> Self
    where
        T: BorshSerialize + BorshDeserialize + PartialEq + Debug,
    {
        let bytes = encode(name, value);
        assert!(bytes.len() > LONG, "{name} is short enough to show its content");
        let borsh = if unit.is_empty() { json!(hex(&bytes)) } else { packed(&bytes, unit) };
        Self::new(name, Value::Null, borsh).hash("keccak256", keccak256(&[&bytes]))
    }

    /// Bytes that are no encoding of a `T`.
    pub(crate) fn undecodable<T: BorshDeserialize + Debug>(name: &str, bytes: &[u8]) -> Self {
        let decoded = borsh::from_slice::<T>(bytes);
        assert!(decoded.is_err(), "{name} decodes to {decoded:?}");
        Self::new(name, Value::Null, json!(hex(bytes)))
            .hash("keccak256", keccak256(&[bytes]))
            .verdict("encoding", Err::<(), _>("encoding"))
    }

    fn new(name: &str, value: Value, borsh: Value) -> Self {
        Self {
            name: name.into(),
            context: Map::new(),
            value,
            borsh,
            hashes: Map::new(),
            verdict: Value::Null,
        }
    }

    /// Adds what a check needs to know beyond the bytes.
    pub(crate) fn context(mut self, name: &str, value: impl Serialize) -> Self {
        self.context.insert(name.into(), serde_json::to_value(value).unwrap());
        self
    }

    /// Adds a hash, an id, a root or a preimage.
    pub(crate) fn hash(mut self, name: &str, value: impl Serialize) -> Self {
        self.hashes.insert(name.into(), serde_json::to_value(value).unwrap());
        self
    }

    /// Adds what a check said: what it found out, or why it refused. `expected` is `accepted` or
    /// the reason for which the vector was made.
    pub(crate) fn verdict<T: Serialize, R: Into<String>>(
        mut self,
        expected: &str,
        actual: Result<T, R>,
    ) -> Self {
        let actual = actual.map_err(Into::into);
        let said = actual.as_ref().err().map_or("accepted", String::as_str);
        assert_eq!(said, expected, "verdict on {}", self.name);
        self.verdict = match actual {
            Ok(found) => json!({ "accepted": found }),
            Err(reason) => json!({ "refused": reason }),
        };
        self
    }
}

/// Compares a file of vectors with what stands in `spec/vectors`, or writes it there.
pub(crate) fn settle(kind: &str, vectors: &[Vector]) {
    let names: BTreeSet<&str> = vectors.iter().map(|vector| vector.name.as_str()).collect();
    assert_eq!(names.len(), vectors.len(), "two vectors of {kind} share a name");
    assert!(vectors.iter().all(|vector| !vector.verdict.is_null()), "{kind}: no verdict");

    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../spec/vectors")
        .join(format!("{kind}.json"));
    if std::env::var("WEFT_WRITE_VECTORS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, text_of(kind, vectors)).unwrap();
        return;
    }
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("spec/vectors/{kind}.json: {error}"));
    let file: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("spec/vectors/{kind}.json: {error}"));
    assert_eq!(file["kind"], kind, "spec/vectors/{kind}.json is of another kind");
    let recorded = file["vectors"].as_array().expect("a file has a list of vectors");
    for (vector, recorded) in vectors.iter().zip(recorded) {
        let built = serde_json::to_value(vector).unwrap();
        if let Some(difference) = difference(&vector.name, recorded, &built) {
            panic!("spec/vectors/{kind}.json: {difference}\nSee spec/vectors/README.md.");
        }
    }
    assert_eq!(recorded.len(), vectors.len(), "spec/vectors/{kind}.json: number of vectors");
}

/// The file's text: what fits stands on one line; fields of a vector stand in their own order, all
/// others by name, whichever map `serde_json` was built with.
fn text_of(kind: &str, vectors: &[Vector]) -> String {
    let each: Vec<String> = vectors.iter().map(Vector::text).collect();
    format!("{{\n  \"kind\": {},\n  \"vectors\": [\n{}\n  ]\n}}\n", json!(kind), each.join(",\n"))
}

impl Vector {
    fn text(&self) -> String {
        let fields = [
            ("name", json!(self.name)),
            ("context", json!(self.context)),
            ("value", self.value.clone()),
            ("borsh", self.borsh.clone()),
            ("hashes", json!(self.hashes)),
            ("verdict", self.verdict.clone()),
        ];
        let fields = fields.map(|(name, value)| format!("      {name:?}: {}", render(&value, 6)));
        format!("    {{\n{}\n    }}", fields.join(",\n"))
    }
}

/// JSON on one line if it fits after so many columns, else on several.
fn render(value: &Value, indent: usize) -> String {
    let whole = flat(value);
    let inner = " ".repeat(indent + 2);
    let lines: Vec<String> = match value {
        _ if indent + whole.len() <= WIDTH => return whole,
        Value::Array(items) => {
            items.iter().map(|item| format!("{inner}{}", render(item, indent + 2))).collect()
        }
        Value::Object(fields) => by_name(fields)
            .map(|(name, field)| format!("{inner}{name:?}: {}", render(field, indent + 2)))
            .collect(),
        _ => return whole,
    };
    let (open, close) = if value.is_array() { ('[', ']') } else { ('{', '}') };
    format!("{open}\n{}\n{}{close}", lines.join(",\n"), " ".repeat(indent))
}

fn flat(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(flat).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) if !fields.is_empty() => {
            let fields = by_name(fields).map(|(name, field)| format!("{name:?}: {}", flat(field)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn by_name(fields: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    fields.into_iter()
}

/// Where two pieces of JSON first differ, and how.
fn difference(at: &str, recorded: &Value, built: &Value) -> Option<String> {
    match (recorded, built) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            names.into_iter().find_map(|name| {
                let field = |of: &Map<String, Value>| of.get(name).cloned().unwrap_or_default();
                difference(&format!("{at}.{name}"), &field(a), &field(b))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(i, (a, b))| difference(&format!("{at}[{i}]"), a, b)),
        _ if recorded == built => None,
        _ => Some(format!("{at}: the file says {recorded}, the code says {built}")),
    }
}

fn encode<T: BorshSerialize + BorshDeserialize + PartialEq + Debug>(
    name: &str,
    value: &T,
) -> Vec<u8> {
    let bytes = borsh::to_vec(value).unwrap();
    let back: T = borsh::from_slice(&bytes).unwrap();
    assert_eq!(&back, value, "{name}: bytes do not come back");
    bytes
}

/// Bytes as a list of parts, each so many times.
fn packed(bytes: &[u8], unit: &[u8]) -> Value {
    let pattern = unit.repeat(16);
    let start = bytes.windows(pattern.len()).position(|window| window == pattern).unwrap();
    let times = bytes[start..].chunks_exact(unit.len()).take_while(|part| *part == unit).count();
    let (head, rest) = bytes.split_at(start);
    json!([
        { "bytes": hex(head), "times": 1 },
        { "bytes": hex(unit), "times": times },
        { "bytes": hex(&rest[times * unit.len()..]), "times": 1 },
    ])
}

/// Lower-case hex with its prefix.
pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}
