//! Encrypted keystores (Web3 Secret Storage) and where their passwords come from.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use eyre::{WrapErr, bail, ensure, eyre};
use weft_types::SecretKey;

/// The environment variable that may hold a password.
pub const PASSWORD_VARIABLE: &str = "WEFT_PASSWORD";

/// Where a password comes from: a file, the environment, or the terminal.
pub fn password(file: Option<&Path>, what: &str) -> eyre::Result<String> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .wrap_err_with(|| format!("cannot read the password file {}", path.display()))?;
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    if let Ok(password) = std::env::var(PASSWORD_VARIABLE) {
        return Ok(password);
    }
    if !std::io::stdin().is_terminal() {
        bail!(
            "no password for {what}: set keys.password_file or {PASSWORD_VARIABLE}, or start from \
             a terminal"
        );
    }
    eprint!("Password for {what}: ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Encrypts a key into a new file.
pub fn write(path: &Path, key: &SecretKey, password: &str) -> eyre::Result<()> {
    ensure!(!path.exists(), "{} exists; it is not overwritten", path.display());
    let directory = path.parent().ok_or_else(|| eyre!("{} has no directory", path.display()))?;
    std::fs::create_dir_all(directory)?;
    let name = path.file_name().and_then(|name| name.to_str());
    let mut random = rand_core::OsRng;
    eth_keystore::encrypt_key(directory, &mut random, key.to_bytes(), password, name)?;
    restrict(path)
}

/// Decrypts a key.
pub fn read(path: &Path, password: &str) -> eyre::Result<SecretKey> {
    let bytes = eth_keystore::decrypt_key(path, password)
        .map_err(|e| eyre!("cannot decrypt {}: {e}", path.display()))?;
    let bytes: [u8; 32] =
        bytes.try_into().map_err(|_| eyre!("{} holds no 32-byte key", path.display()))?;
    SecretKey::from_bytes(bytes).ok_or_else(|| eyre!("{} holds no valid key", path.display()))
}

/// A new random key.
pub fn generate() -> eyre::Result<SecretKey> {
    loop {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|e| eyre!("no randomness: {e}"))?;
        if let Some(key) = SecretKey::from_bytes(bytes) {
            return Ok(key);
        }
    }
}

fn restrict(path: &Path) -> eyre::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_with_the_right_password_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/validator.json");
        let key = generate().unwrap();
        write(&path, &key, "secret").unwrap();
        assert_eq!(read(&path, "secret").unwrap().address(), key.address());
        assert!(read(&path, "wrong").is_err());
        assert!(write(&path, &key, "secret").is_err(), "never overwritten");
        let file = directory.path().join("password");
        std::fs::write(&file, "secret\n").unwrap();
        assert_eq!(password(Some(&file), "it").unwrap(), "secret");
    }
}
