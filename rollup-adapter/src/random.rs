//! Randomness from the operating system, for what need not be reproducible: jitter, salts, ids.

/// 64 random bits. Zero in the unheard-of case that the operating system has none to give.
pub fn bits() -> u64 {
    getrandom::u64().unwrap_or(0)
}

/// A number in `0.0..1.0`.
pub fn fraction() -> f64 {
    // 53 bits fit a double exactly.
    let bits = u32::try_from(bits() >> 32).unwrap_or(0);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

/// A new secret key; `None` if the operating system has no randomness to give.
pub fn key() -> Option<weft_types::SecretKey> {
    let mut bytes = [0; 32];
    // All but about 2^-128 of all bytes are keys.
    for _ in 0..4 {
        getrandom::fill(&mut bytes).ok()?;
        if let Some(key) = weft_types::SecretKey::from_bytes(bytes) {
            return Some(key);
        }
    }
    None
}
