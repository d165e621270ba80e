//! `eth_call`, `eth_estimateGas` and `eth_createAccessList`: execution on a view of the store that
//! leaves no trace.

use alloy_consensus::Header;
use alloy_eips::eip2930::{AccessList, AccessListItem, AccessListResult};
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_eth::state::{AccountOverride, StateOverride};
use revm::bytecode::Bytecode;
use revm::context::result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction};
use revm::context::{BlockEnv, TxEnv};
use revm::database::CacheDB;
use revm::state::EvmState;
use revm::{Context, DatabaseRef, ExecuteEvm, MainBuilder, MainContext};

use super::spec::{ChainSpec, MAX_TRANSACTION_GAS};
use super::store::{StateAt, StoreError};
use super::transaction::recover_authority;

/// Most accounts that a call may override.
pub const MAX_OVERRIDES: usize = 1000;
/// An estimate is good enough when it is at most this many thousandths too high.
const TOLERANCE: u64 = 15;
/// What a call may keep for itself of the gas it has (EIP-150).
const KEPT_NUMERATOR: u64 = 64;
const KEPT_DENOMINATOR: u64 = 63;
/// What a call that carries value is given on top.
const STIPEND: u64 = 2_300;
/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The code reverted, with this data.
    #[error("execution reverted")]
    Reverted(Bytes),
    /// The code broke a rule of the EVM.
    #[error("{0}")]
    Halted(HaltReason),
    /// No gas limit that is allowed suffices.
    #[error("gas required exceeds allowance ({0})")]
    Allowance(u64),
    /// The request makes no transaction.
    #[error("{0}")]
    Invalid(String),
    /// The database. Ours.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a call executes.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The state.
    pub state: StateAt<'a>,
    /// The fields that never change.
    pub spec: &'a ChainSpec,
    /// The block whose context the call sees.
    pub header: &'a Header,
    /// Most gas a call may use.
    pub gas_cap: u64,
}

type Overlay<'a> = CacheDB<StateAt<'a>>;

impl<'a> Ground<'a> {
    fn block(&self) -> BlockEnv {
        let header = self.header;
        self.spec.block_env(header.number, header.timestamp, header.mix_hash)
    }

    fn overlay(&self, overrides: Option<StateOverride>) -> Result<Overlay<'a>, CallError> {
        let mut overlay = CacheDB::new(self.state);
        let overrides = overrides.unwrap_or_default();
        if overrides.len() > MAX_OVERRIDES {
            return Err(CallError::Invalid(format!("more than {MAX_OVERRIDES} overrides")));
        }
        for (address, changes) in overrides {
            apply_override(&mut overlay, address, changes)?;
        }
        Ok(overlay)
    }

    /// Runs a request. Fees are charged only if the request names a price.
    fn run(
        &self,
        overlay: &mut Overlay<'a>,
        tx: TxEnv,
    ) -> Result<(ExecutionResult, EvmState), CallError> {
        let mut cfg = self.spec.cfg();
        cfg.disable_block_gas_limit = true;
        cfg.disable_base_fee = tx.gas_price == 0;
        cfg.disable_balance_check = tx.gas_price == 0 && tx.value.is_zero();
        cfg.disable_nonce_check = true;
        cfg.tx_gas_limit_cap = Some(u64::MAX);
        let mut evm = Context::mainnet()
            .with_db(overlay)
            .with_cfg(cfg)
            .with_block(self.block())
            .build_mainnet();
        match evm.transact(tx) {
            Ok(outcome) => Ok((outcome.result, outcome.state)),
            Err(EVMError::Database(error)) => Err(error.into()),
            Err(EVMError::Transaction(InvalidTransaction::LackOfFundForMaxFee { .. })) => {
                Err(CallError::Invalid("insufficient funds for gas * price + value".into()))
            }
            Err(EVMError::Transaction(
                InvalidTransaction::CallGasCostMoreThanGasLimit { gas_limit, .. }
                | InvalidTransaction::GasFloorMoreThanGasLimit { gas_limit, .. },
            )) => Err(CallError::Allowance(gas_limit)),
            Err(error) => Err(CallError::Invalid(error.to_string())),
        }
    }

    /// `eth_call`.
    pub fn call(
        &self,
        request: TransactionRequest,
        overrides: Option<StateOverride>,
    ) -> Result<Bytes, CallError> {
        let mut overlay = self.overlay(overrides)?;
        let gas = request.gas.unwrap_or(self.gas_cap).min(self.gas_cap);
        let tx = self.env(&overlay, request, gas)?;
        let (result, _) = self.run(&mut overlay, tx)?;
        output(result)
    }

    /// `eth_estimateGas`: the least gas limit, or nearly, with which the request succeeds.
    pub fn estimate(
        &self,
        request: TransactionRequest,
        overrides: Option<StateOverride>,
    ) -> Result<u64, CallError> {
        let mut overlay = self.overlay(overrides)?;
        let most = self.spec.gas_limit.min(MAX_TRANSACTION_GAS);
        let mut high = request.gas.filter(|gas| *gas >= TRANSFER_GAS).unwrap_or(most).min(most);
        let tx = self.env(&overlay, request, high)?;
        // Not more than the sender can pay for.
        if tx.gas_price > 0 {
            let balance = overlay.basic_ref(tx.caller)?.map_or(U256::ZERO, |a| a.balance);
            let left = balance
                .checked_sub(tx.value)
                .ok_or_else(|| CallError::Invalid("insufficient funds for transfer".into()))?;
            let payable = left / U256::from(tx.gas_price);
            high = high.min(payable.saturating_to());
        }
        let tx = TxEnv { gas_limit: high, ..tx };
        if self.is_plain_transfer(&overlay, &tx)? && high >= TRANSFER_GAS {
            let plain = TxEnv { gas_limit: TRANSFER_GAS, ..tx.clone() };
            if matches!(self.run(&mut overlay, plain), Ok((r, _)) if r.is_success()) {
                return Ok(TRANSFER_GAS);
            }
        }
        // With as much as there may be: if that fails, the failure is the answer.
        let (result, _) = self.run(&mut overlay, tx.clone())?;
        let used = result.tx_gas_used();
        match result {
            ExecutionResult::Success { .. } => {}
            ExecutionResult::Revert { output, .. } => return Err(CallError::Reverted(output)),
            ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. } => {
                return Err(CallError::Allowance(high));
            }
            ExecutionResult::Halt { reason, .. } => return Err(CallError::Halted(reason)),
        }
        let mut low = used.saturating_sub(1);
        // What was used, and what calls keep back, usually suffices.
        let mut middle =
            used.saturating_add(STIPEND).saturating_mul(KEPT_NUMERATOR) / KEPT_DENOMINATOR;
        while low.saturating_add(1) < high {
            if high.saturating_sub(low).saturating_mul(1000) <= high.saturating_mul(TOLERANCE) {
                break;
            }
            middle = middle.clamp(low + 1, high - 1);
            let attempt = TxEnv { gas_limit: middle, ..tx.clone() };
            let success = match self.run(&mut overlay, attempt) {
                Ok((result, _)) => result.is_success(),
                // Too little even to begin.
                Err(CallError::Allowance(_)) => false,
                Err(error) => return Err(error),
            };
            if success {
                high = middle;
            } else {
                low = middle;
            }
            middle = low.midpoint(high);
        }
        Ok(high)
    }

    /// `eth_createAccessList`: what the request looks up, besides what is free anyway.
    pub fn access_list(&self, request: TransactionRequest) -> Result<AccessListResult, CallError> {
        let mut overlay = self.overlay(None)?;
        let gas = request.gas.unwrap_or(self.gas_cap).min(self.gas_cap);
        let tx = self.env(&overlay, request, gas)?;
        let target = match tx.kind {
            TxKind::Call(to) => to,
            TxKind::Create => {
                let nonce = overlay.basic_ref(tx.caller)?.map_or(0, |account| account.nonce);
                tx.caller.create(nonce)
            }
        };
        let (_, state) = self.run(&mut overlay, tx.clone())?;
        let is_free = |address: &Address| {
            *address == tx.caller
                || *address == self.spec.coinbase
                || address.as_slice()[..18].iter().all(|byte| *byte == 0)
        };
        let mut items: Vec<AccessListItem> = state
            .into_iter()
            .map(|(address, account)| {
                let mut storage_keys: Vec<B256> =
                    account.storage.keys().copied().map(B256::from).collect();
                storage_keys.sort_unstable();
                AccessListItem { address, storage_keys }
            })
            .filter(|item| !is_free(&item.address) || !item.storage_keys.is_empty())
            .filter(|item| item.address != target || !item.storage_keys.is_empty())
            .collect();
        items.sort_unstable_by_key(|item| item.address);
        let access_list = AccessList(items);
        let with = TxEnv { access_list: access_list.clone(), tx_type: tx.tx_type.max(1), ..tx };
        let (result, _) = self.run(&mut overlay, with)?;
        let gas_used = U256::from(result.tx_gas_used());
        let error = output(result).err().map(|error| error.to_string());
        Ok(AccessListResult { access_list, gas_used, error })
    }

    fn is_plain_transfer(&self, overlay: &Overlay<'a>, tx: &TxEnv) -> Result<bool, StoreError> {
        let TxKind::Call(to) = tx.kind else { return Ok(false) };
        if !tx.data.is_empty() || !tx.access_list.is_empty() || !tx.authorization_list.is_empty() {
            return Ok(false);
        }
        let account = overlay.basic_ref(to)?.unwrap_or_default();
        Ok(account.is_empty_code_hash())
    }

    fn env(
        &self,
        overlay: &Overlay<'a>,
        request: TransactionRequest,
        gas_limit: u64,
    ) -> Result<TxEnv, CallError> {
        let TransactionRequest {
            from,
            to,
            gas_price,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            value,
            input,
            nonce,
            chain_id,
            access_list,
            blob_versioned_hashes,
            authorization_list,
            ..
        } = request;
        let invalid = |message: &str| Err(CallError::Invalid(message.to_owned()));
        if gas_price.is_some() && (max_fee_per_gas.is_some() || max_priority_fee_per_gas.is_some())
        {
            return invalid("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified");
        }
        if chain_id.is_some_and(|id| id != self.spec.chain_id) {
            return invalid("chainId does not match node's");
        }
        if blob_versioned_hashes.is_some_and(|hashes| !hashes.is_empty()) {
            return invalid("blob transactions are not supported");
        }
        let Ok(data) = input.try_into_unique_input() else {
            return invalid(r#"both "data" and "input" are set and not equal"#);
        };
        let price = gas_price.or(max_fee_per_gas).unwrap_or(0);
        let tip = max_priority_fee_per_gas.filter(|_| max_fee_per_gas.is_some());
        if tip.is_some_and(|tip| tip > price) {
            return invalid("maxPriorityFeePerGas higher than maxFeePerGas");
        }
        let authorizations: Vec<SignedAuthorization> = authorization_list.unwrap_or_default();
        let tx_type = match (authorizations.is_empty(), tip, &access_list) {
            (false, _, _) => 4,
            (_, Some(_), _) => 2,
            (_, _, Some(_)) => 1,
            _ => 0,
        };
        let caller = from.unwrap_or_default();
        let nonce = match nonce {
            Some(nonce) => nonce,
            None => overlay.basic_ref(caller)?.map_or(0, |account| account.nonce),
        };
        Ok(TxEnv {
            tx_type,
            caller,
            gas_limit,
            gas_price: price,
            kind: to.unwrap_or(TxKind::Create),
            value: value.unwrap_or_default(),
            data: data.unwrap_or_default(),
            nonce,
            chain_id: Some(self.spec.chain_id),
            access_list: access_list.unwrap_or_default(),
            gas_priority_fee: tip,
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: 0,
            authorization_list: authorizations
                .iter()
                .map(|a| revm::context::either::Either::Right(recover_authority(a)))
                .collect(),
        })
    }
}

fn apply_override(
    overlay: &mut Overlay<'_>,
    address: Address,
    changes: AccountOverride,
) -> Result<(), CallError> {
    let AccountOverride { balance, nonce, code, state, state_diff, .. } = changes;
    let mut info = overlay.basic_ref(address)?.unwrap_or_default();
    info.balance = balance.unwrap_or(info.balance);
    info.nonce = nonce.unwrap_or(info.nonce);
    if let Some(code) = code {
        let code = Bytecode::new_raw_checked(code)
            .map_err(|error| CallError::Invalid(format!("code of {address}: {error}")))?;
        info.code_hash = code.hash_slow();
        info.code = Some(code);
    }
    overlay.insert_account_info(address, info);
    let slot =
        |(key, value): (B256, B256)| (U256::from_be_bytes(key.0), U256::from_be_bytes(value.0));
    match (state, state_diff) {
        (Some(_), Some(_)) => {
            return Err(CallError::Invalid(format!(
                "account {address} has both 'state' and 'stateDiff'"
            )));
        }
        (Some(state), None) => {
            overlay.replace_account_storage(address, state.into_iter().map(slot).collect())?;
        }
        (None, Some(diff)) => {
            for (key, value) in diff.into_iter().map(slot) {
                overlay.insert_account_storage(address, key, value)?;
            }
        }
        (None, None) => {}
    }
    Ok(())
}

fn output(result: ExecutionResult) -> Result<Bytes, CallError> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => Err(CallError::Reverted(output)),
        ExecutionResult::Halt { reason, .. } => Err(CallError::Halted(reason)),
    }
}
