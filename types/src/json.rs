//! JSON forms of numbers: heights, amounts and namespaces are decimal strings, since a JSON reader
//! may hold numbers as doubles.

/// `#[serde(with = "weft_types::json::decimal")]` for unsigned integers as decimal strings.
pub mod decimal {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the number as a decimal string.
    pub fn serialize<T: Display, S: Serializer>(value: &T, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(value)
    }

    /// Reads a decimal string; nothing else is accepted.
    pub fn deserialize<'de, T, D>(input: D) -> Result<T, D::Error>
    where
        T: FromStr,
        T::Err: Display,
        D: Deserializer<'de>,
    {
        let text = std::borrow::Cow::<'de, str>::deserialize(input)?;
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(D::Error::custom("expected a decimal number as a string"));
        }
        text.parse().map_err(D::Error::custom)
    }
}
