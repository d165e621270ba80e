//! Random transactions: what property tests feed to both engines.

use alloy_consensus::{TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use proptest::prelude::*;

use super::wallet::{GWEI, Wallet};

/// One random step of a program. Numbers pick from small pools, so that steps meet.
#[derive(Clone, Copy, Debug)]
pub struct Step(pub u8, pub u8, pub u8);

/// One random transaction.
#[derive(Clone, Debug)]
pub struct Plan {
    pub kind: u8,
    pub sender: u8,
    /// Added to the nonce that is due.
    pub nonce_skew: i8,
    pub target: u8,
    pub value: u8,
    pub gas: u8,
    pub price: u8,
    pub program: Vec<Step>,
}

pub fn plans(most: usize) -> impl Strategy<Value = Vec<Plan>> {
    let step = (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(a, b, c)| Step(a, b, c));
    let skew = prop_oneof![12 => Just(0i8), 1 => Just(1), 1 => Just(-1), 1 => Just(2)];
    let plan = (
        any::<u8>(),
        0u8..6,
        skew,
        any::<u8>(),
        any::<u8>(),
        any::<u8>(),
        any::<u8>(),
        proptest::collection::vec(step, 0..14),
    );
    let plan = plan.prop_map(|(kind, sender, nonce_skew, target, value, gas, price, program)| {
        Plan { kind, sender, nonce_skew, target, value, gas, price, program }
    });
    proptest::collection::vec(plan, 0..most)
}

/// Accounts that programs and transactions touch.
pub fn pool(wallets: &[Wallet], contracts: &[Address]) -> Vec<Address> {
    let mut pool: Vec<Address> = wallets.iter().map(Wallet::address).collect();
    pool.extend_from_slice(contracts);
    // Precompiles, the history contract, the coinbase, and accounts that are not there.
    pool.extend((1..=17).map(Address::with_last_byte));
    pool.push(Address::from_word(B256::from(U256::from(0x100))));
    pool.push(weft_rollup_adapter::evm::genesis::HISTORY_ADDRESS);
    pool.push("0x00000000000000000000000000000000c01bbace".parse().unwrap());
    pool.extend((0..6).map(|i| Address::repeat_byte(0xd0 + i)));
    pool
}

fn push(code: &mut Vec<u8>, value: u64) {
    let bytes = value.to_be_bytes();
    let from = bytes.iter().position(|b| *b != 0).unwrap_or(7);
    code.push(0x60 + u8::try_from(7 - from).unwrap());
    code.extend_from_slice(&bytes[from..]);
}

fn push_address(code: &mut Vec<u8>, address: Address) {
    code.push(0x73);
    code.extend_from_slice(address.as_slice());
}

/// Compiles steps to code that runs on an empty stack.
pub fn compile(steps: &[Step], pool: &[Address]) -> Vec<u8> {
    let mut code = Vec::new();
    for Step(op, a, b) in steps.iter().copied() {
        let account = pool[usize::from(a) % pool.len()];
        let slot = u64::from(a % 8);
        match op % 24 {
            // Store, clear, load.
            0..=2 => {
                push(&mut code, u64::from(b % 4));
                push(&mut code, slot);
                code.push(0x55);
            }
            3 => {
                push(&mut code, slot + 100 + u64::from(b));
                code.extend([0x54, 0x50]);
            }
            4 => {
                push(&mut code, slot);
                code.extend([0x54, 0x50]);
            }
            // Transient storage.
            5 => {
                push(&mut code, u64::from(b));
                push(&mut code, slot);
                code.push(0x5d);
                push(&mut code, slot);
                code.push(0x5c);
                push(&mut code, slot + 16);
                code.push(0x55);
            }
            // Facts of the block, the transaction and the account, stored.
            6..=8 => {
                let ops = [
                    0x30, 0x32, 0x33, 0x34, 0x36, 0x38, 0x3a, 0x3d, 0x41, 0x42, 0x43, 0x44, 0x45,
                    0x46, 0x47, 0x48, 0x4a, 0x58, 0x59, 0x5a,
                ];
                code.push(ops[usize::from(a) % ops.len()]);
                push(&mut code, u64::from(b % 32));
                code.push(0x55);
            }
            // Hashes of recent blocks.
            9 => {
                push(&mut code, u64::from(b % 4));
                code.extend([0x43, 0x03, 0x40]);
                push(&mut code, 40 + u64::from(b % 4));
                code.push(0x55);
            }
            // Looking at accounts.
            10 => {
                push_address(&mut code, account);
                code.push([0x31, 0x3b, 0x3f][usize::from(b) % 3]);
                push(&mut code, 50 + u64::from(b % 8));
                code.push(0x55);
            }
            11 => {
                push(&mut code, u64::from(b % 64));
                push(&mut code, 0);
                push(&mut code, 0);
                push_address(&mut code, account);
                code.push(0x3c);
            }
            // Calls of all kinds; gas is a part of what is left, or very little.
            12..=15 => {
                let kind = [0xf1, 0xf2, 0xf4, 0xfa][usize::from(b) % 4];
                push(&mut code, 32);
                push(&mut code, 0);
                push(&mut code, u64::from(b));
                push(&mut code, 0);
                if kind == 0xf1 || kind == 0xf2 {
                    push(&mut code, u64::from(b / 64));
                }
                push_address(&mut code, account);
                if b % 5 == 0 {
                    push(&mut code, u64::from(b) * 40);
                } else {
                    code.extend([0x60, 3, 0x5a, 0x04]);
                }
                code.push(kind);
                push(&mut code, 60 + u64::from(b % 4));
                code.push(0x55);
            }
            // Creation: the memory's first bytes are the init code.
            16 | 17 => {
                let init: [u8; 32] = match b % 4 {
                    // Returns nothing; stores and returns; destroys itself; reverts.
                    0 => word(&[0x00]),
                    1 => word(&[
                        0x60, 1, 0x60, 2, 0x55, 0x60, 0, 0x60, 9, 0x55, 0x60, 1, 0x60, 0, 0xf3,
                    ]),
                    2 => word(&[0x60, 1, 0x60, 2, 0x55, 0x33, 0xff]),
                    _ => word(&[0x60, 0, 0x54, 0x60, 0, 0x60, 0, 0xfd]),
                };
                code.push(0x7f);
                code.extend_from_slice(&init);
                push(&mut code, 0);
                code.push(0x52);
                if op % 24 == 17 {
                    push(&mut code, u64::from(a % 3));
                }
                push(&mut code, 32);
                push(&mut code, 0);
                push(&mut code, u64::from(b / 128));
                code.push(if op % 24 == 17 { 0xf5 } else { 0xf0 });
                push(&mut code, 70 + u64::from(a % 4));
                code.push(0x55);
            }
            // Logs with up to two topics.
            18 => {
                let topics = b % 3;
                for topic in 0..topics {
                    push(&mut code, u64::from(a) + u64::from(topic));
                }
                push(&mut code, u64::from(b % 40));
                push(&mut code, 0);
                code.push(0xa0 + topics);
            }
            // Memory, copying, arithmetic with the newest instructions.
            19 => {
                push(&mut code, u64::from(a));
                code.push(0x1e);
                push(&mut code, u64::from(b));
                code.push(0x52);
                push(&mut code, 32);
                push(&mut code, u64::from(b));
                push(&mut code, 0);
                code.push(0x5e);
            }
            20 => {
                push(&mut code, 32);
                push(&mut code, 0);
                code.push(0x20);
                push(&mut code, 80);
                code.push(0x55);
            }
            // Ends, rarely.
            21 if b < 60 => {
                push_address(&mut code, account);
                code.push(0xff);
            }
            22 if b < 40 => code.push(0xfe),
            23 if b < 60 => {
                push(&mut code, u64::from(b));
                push(&mut code, 0);
                code.push(0xfd);
            }
            _ => code.push(0x5b),
        }
    }
    code
}

fn word(bytes: &[u8]) -> [u8; 32] {
    let mut word = [0; 32];
    word[..bytes.len()].copy_from_slice(bytes);
    word
}

/// Init code that makes a contract of this code.
pub fn deployer(runtime: &[u8]) -> Vec<u8> {
    let length = u16::try_from(runtime.len()).unwrap().to_be_bytes();
    let mut code = vec![0x61, length[0], length[1], 0x60, 0, 0x81, 0x60, 12, 0x82, 0x39, 0xf3, 0];
    // PUSH2 len, PUSH1 0, DUP2, PUSH1 12, DUP3, CODECOPY leaves [len, 0] swapped for RETURN.
    code[10] = 0xf3;
    code.extend_from_slice(runtime);
    code
}

/// Turns a plan into the bytes of an item.
pub fn item(
    chain_id: u64,
    plan: &Plan,
    wallets: &[Wallet],
    due: u64,
    contracts: &[Address],
) -> Bytes {
    let wallet = &wallets[usize::from(plan.sender) % wallets.len()];
    let pool = pool(wallets, contracts);
    let to = pool[usize::from(plan.target) % pool.len()];
    let nonce = due.saturating_add_signed(i64::from(plan.nonce_skew));
    let gas_limit = match plan.gas % 32 {
        0 => 21_000,
        1 => 20_999,
        2 => 17_000_000,
        3..=5 => 9_000_000,
        // Enough to get somewhere, and to run out anywhere.
        gas @ 6..16 => 21_000 + u64::from(gas) * 3_000 + u64::from(plan.value) * 40,
        _ => 400_000,
    };
    let max_fee_per_gas = match plan.price % 40 {
        0 => GWEI - 1,
        1 => GWEI,
        _ => 2 * GWEI + u128::from(plan.price),
    };
    let tip = match plan.price % 31 {
        0 => 3 * GWEI,
        1 => 0,
        _ => u128::from(plan.price),
    };
    let value = match plan.value % 48 {
        0 => U256::from(1u64) << 200,
        1 | 2 => U256::from(600_000_000_000_000_000_000u128),
        v => U256::from(v % 3),
    };
    let program = Bytes::from(compile(&plan.program, &pool));
    let access_list = AccessList(vec![AccessListItem {
        address: to,
        storage_keys: (0..plan.value % 3).map(|i| B256::with_last_byte(i + 90)).collect(),
    }]);
    match plan.kind % 12 {
        0 => wallet.legacy(TxLegacy {
            chain_id: (!plan.price.is_multiple_of(3)).then_some(chain_id),
            nonce,
            gas_price: max_fee_per_gas,
            gas_limit,
            to: TxKind::Call(to),
            value,
            input: program,
        }),
        1 => wallet.eip2930(TxEip2930 {
            chain_id,
            nonce,
            gas_price: max_fee_per_gas,
            gas_limit,
            to: TxKind::Call(to),
            value,
            access_list,
            input: program,
        }),
        2 => wallet.eip7702(TxEip7702 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas: tip,
            to,
            value,
            access_list,
            authorization_list: (0..plan.value % 3)
                .map(|i| {
                    let who = usize::from(plan.target) + usize::from(i);
                    let delegate = pool[(usize::from(plan.gas) + who) % pool.len()];
                    let id = if plan.price.is_multiple_of(5) { 0 } else { chain_id };
                    wallets[who % wallets.len()].authorize(id, delegate, due + u64::from(i))
                })
                .collect(),
            input: program,
        }),
        3 => wallet.eip4844(TxEip4844 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas: tip,
            to,
            max_fee_per_blob_gas: GWEI,
            blob_versioned_hashes: vec![B256::with_last_byte(1)],
            ..TxEip4844::default()
        }),
        4 => program,
        5 => wallet.eip1559(TxEip1559 {
            chain_id: chain_id + u64::from(plan.price % 2),
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas: tip,
            to: TxKind::Call(to),
            value,
            ..TxEip1559::default()
        }),
        // Creations: a contract of the program, or the program as init code.
        6..=8 => wallet.eip1559(TxEip1559 {
            chain_id,
            nonce,
            gas_limit: 1_000_000,
            max_fee_per_gas,
            max_priority_fee_per_gas: 0,
            to: TxKind::Create,
            value: U256::from(plan.value % 3),
            input: if plan.kind % 12 == 8 { program } else { deployer(&program).into() },
            ..TxEip1559::default()
        }),
        _ => wallet.eip1559(TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas: tip,
            to: TxKind::Call(
                contracts
                    .get(usize::from(plan.target) % (contracts.len() + 1))
                    .copied()
                    .unwrap_or(to),
            ),
            value,
            access_list,
            input: program,
        }),
    }
}
