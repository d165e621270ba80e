//! What cast and forge print, read.

use alloy_primitives::{Address, B256, Bytes, U64, U256};
use eyre::{WrapErr, ensure, eyre};
use serde::{Deserialize, Serialize};

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The transaction's hash.
    pub transaction: B256,
    /// The number of the block that holds it.
    pub block: u64,
    /// Whether it did what it was to do; otherwise it was reverted, and only its gas is paid.
    pub succeeded: bool,
    /// How much gas it used.
    pub gas_used: u64,
    /// What each unit of gas cost, in wei.
    pub gas_price: U256,
    /// The transaction's type: 0 is a legacy one, 2 one of EIP-1559.
    pub kind: u64,
    /// The contract that it created.
    pub created: Option<Address>,
    /// What contracts logged.
    pub logs: Vec<Log>,
}

/// A contract's log entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct Log {
    /// The contract.
    pub address: Address,
    /// The hash of the event's signature, then its indexed parameters.
    pub topics: Vec<B256>,
    /// The event's other parameters, 32 bytes each.
    pub data: Bytes,
    /// The hash of the block.
    pub block_hash: B256,
    /// The hash of the transaction.
    pub transaction_hash: B256,
    /// Its place in the block.
    pub log_index: U64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Printed {
    transaction_hash: B256,
    block_number: U64,
    status: U64,
    gas_used: U64,
    effective_gas_price: U256,
    #[serde(rename = "type")]
    kind: U64,
    contract_address: Option<Address>,
    logs: Vec<Log>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deployed {
    transaction_hash: B256,
}

/// A receipt, from what `cast send --json` and `cast receipt --json` print.
pub fn receipt(printed: &str) -> eyre::Result<Receipt> {
    let found: Printed = json(printed, "a receipt")?;
    Ok(Receipt {
        transaction: found.transaction_hash,
        block: found.block_number.to(),
        succeeded: found.status == U64::from(1),
        gas_used: found.gas_used.to(),
        gas_price: found.effective_gas_price,
        kind: found.kind.to(),
        created: found.contract_address,
        logs: found.logs,
    })
}

/// The hash of a transaction that deploys, from what `forge create --json` prints.
pub fn deployment(printed: &str) -> eyre::Result<B256> {
    Ok(json::<Deployed>(printed, "a deployment")?.transaction_hash)
}

/// Logs, from what `cast logs --json` prints.
pub fn logs(printed: &str) -> eyre::Result<Vec<Log>> {
    json(printed, "logs")
}

/// The 32-byte words that a call returns, from what `cast call` prints for a function whose
/// results are not named.
pub fn words(printed: &str) -> eyre::Result<Vec<U256>> {
    let bytes: Bytes =
        printed.trim().parse().wrap_err_with(|| format!("not in hexadecimal: {printed:.200}"))?;
    split(&bytes)
}

/// The 32-byte words that bytes consist of.
pub fn split(bytes: &[u8]) -> eyre::Result<Vec<U256>> {
    ensure!(bytes.len().is_multiple_of(32), "{} bytes are no whole number of words", bytes.len());
    Ok(bytes.chunks_exact(32).map(U256::from_be_slice).collect())
}

/// The address that a word holds.
pub fn address(word: U256) -> eyre::Result<Address> {
    let bytes = B256::from(word);
    ensure!(bytes[..12] == [0; 12], "{bytes} is no address");
    Ok(Address::from_word(bytes))
}

/// The code that creates a contract, from the artifact that a package publishes.
pub fn init_code(artifact: &str) -> eyre::Result<Bytes> {
    #[derive(Deserialize)]
    struct Artifact {
        bytecode: Bytes,
    }
    Ok(json::<Artifact>(artifact, "an artifact")?.bytecode)
}

fn json<'a, T: Deserialize<'a>>(printed: &'a str, what: &str) -> eyre::Result<T> {
    serde_json::from_str(printed).map_err(|error| eyre!("expected {what}: {error}: {printed:.500}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIPT: &str = r#"{
        "type": "0x2", "status": "0x1", "cumulativeGasUsed": "0x93918", "blockNumber": "0x3",
        "logs": [{
            "address": "0x5fbdb2315678afecb367f032d93f642f64180aa3",
            "topics": ["0x0000000000000000000000000000000000000000000000000000000000000007"],
            "data": "0x0000000000000000000000000000000000000000000000000000000000000009",
            "blockHash": "0x0a2bd10252ea67a5719a5ddc4f68517e79311d739f54e5780368e5f905dabea9",
            "transactionHash": "0x0c045148567a1e487bcdfb491a1b8d807c04cb47bc1279e5eb91b3e60eea7350",
            "logIndex": "0x0", "removed": false
        }],
        "transactionHash": "0x0c045148567a1e487bcdfb491a1b8d807c04cb47bc1279e5eb91b3e60eea7350",
        "gasUsed": "0x93918", "effectiveGasPrice": "0x2ddf309e", "to": null,
        "contractAddress": "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512"
    }"#;

    #[test]
    fn a_receipt_is_read() {
        let receipt = receipt(RECEIPT).unwrap();
        assert!(receipt.succeeded);
        assert_eq!((receipt.block, receipt.gas_used, receipt.kind), (3, 0x93918, 2));
        assert_eq!(receipt.gas_price, U256::from(0x2ddf_309e));
        assert!(receipt.created.is_some());
        assert_eq!(receipt.logs[0].transaction_hash, receipt.transaction);
        assert_eq!(split(&receipt.logs[0].data).unwrap(), [U256::from(9)]);
    }

    #[test]
    fn what_is_no_answer_is_repeated_in_the_error() {
        let error = receipt("out of order").unwrap_err().to_string();
        assert!(error.contains("expected a receipt") && error.contains("out of order"), "{error}");
        assert!(words("nonsense").is_err());
        assert!(words("0x00").is_err());
    }

    #[test]
    fn words_and_addresses_are_read() {
        let one = format!("0x{:064x}{:064x}\n", 1, 2);
        assert_eq!(words(&one).unwrap(), [U256::from(1), U256::from(2)]);
        assert_eq!(words("0x\n").unwrap(), Vec::<U256>::new());
        assert_eq!(address(U256::from(5)).unwrap(), Address::with_last_byte(5));
        assert!(address(U256::MAX).is_err());
    }

    #[test]
    fn an_artifacts_code_is_read_with_or_without_prefix() {
        assert_eq!(init_code(r#"{"bytecode": "60aa", "abi": []}"#).unwrap()[..], [0x60, 0xaa]);
        assert_eq!(init_code(r#"{"bytecode": "0x60aa"}"#).unwrap()[..], [0x60, 0xaa]);
    }
}
