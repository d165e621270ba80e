//! `weft keys`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use eyre::{WrapErr, eyre};
use weft_types::SecretKey;

use super::{HomeArgs, say};
use crate::config::KeysConfig;
use crate::keystore;

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Make a validator key, encrypt it, and print its address.
    New {
        #[command(flatten)]
        home: HomeArgs,
        /// Read the password from here.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Print the address of a home's validator key.
    Show {
        #[command(flatten)]
        home: HomeArgs,
        /// Read the password from here.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Encrypt a key that is given as hex, and print its address.
    Import {
        #[command(flatten)]
        home: HomeArgs,
        /// A file with 32 bytes as hex.
        #[arg(long, value_name = "FILE")]
        key_file: PathBuf,
        /// Read the password from here.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

impl Keys {
    pub(super) fn run(self) -> eyre::Result<()> {
        match self {
            Self::New { home, password_file } => {
                store(&home, password_file, &keystore::generate()?)
            }
            Self::Import { home, key_file, password_file } => {
                let text = std::fs::read_to_string(&key_file)
                    .wrap_err_with(|| format!("cannot read {}", key_file.display()))?;
                store(&home, password_file, &parse(&text)?)
            }
            Self::Show { home, password_file } => {
                let path = home.home().resolve(&KeysConfig::default().validator);
                let password = keystore::password(password_file.as_deref(), "the keystore")?;
                say(&keystore::read(&path, &password)?.address().to_string());
                Ok(())
            }
        }
    }
}

fn store(home: &HomeArgs, password_file: Option<PathBuf>, key: &SecretKey) -> eyre::Result<()> {
    let path = home.home().resolve(&KeysConfig::default().validator);
    let password = keystore::password(password_file.as_deref(), "the new keystore")?;
    keystore::write(&path, key, &password)?;
    say(&key.address().to_string());
    Ok(())
}

/// The key in a file: as hex, or in a keystore, which is unlocked.
pub(super) fn read_key(path: &Path, password_file: Option<&Path>) -> eyre::Result<SecretKey> {
    let text = std::fs::read_to_string(path)
        .wrap_err_with(|| format!("cannot read {}", path.display()))?;
    if text.trim_start().starts_with('{') {
        let password = keystore::password(password_file, &path.display().to_string())?;
        return keystore::read(path, &password);
    }
    parse(&text).wrap_err_with(|| format!("{}", path.display()))
}

/// A key from hex, with or without 0x.
fn parse(text: &str) -> eyre::Result<SecretKey> {
    let digits = text.trim();
    let bytes = hex::decode(digits.strip_prefix("0x").unwrap_or(digits))
        .wrap_err("a key is 32 bytes as hex")?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| eyre!("a key is 32 bytes as hex"))?;
    SecretKey::from_bytes(bytes).ok_or_else(|| eyre!("that is no valid secp256k1 key"))
}
