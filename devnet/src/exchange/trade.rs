//! What a wallet does on an exchange, each step checked where it is done.

use std::fmt::Debug;

use alloy_primitives::{Address, U256, keccak256};
use eyre::{bail, ensure, eyre};

use super::answers::{self, Log, Receipt};
use super::contracts::{FACTORY, PAIR, ROUTER, TOKEN, WETH, init_code};
use super::formula::{amount_out, first_shares, in_order_of, pair_address};
use super::report::{Contracts, Step};
use super::wallet::{Fee, Sent, Wallet, args};

/// One token, in its smallest units.
pub(crate) const ONE: u128 = 1_000_000_000_000_000_000;

/// How much of each token there is, at first all of it the account's.
const SUPPLY: u128 = 1_000_000 * ONE;

/// What [`run`](super::run) deposits of the two tokens.
pub(super) const DEPOSIT: [u128; 2] = [10_000 * ONE, 40_000 * ONE];

/// What is given in the swap.
const GIVEN: u128 = 100 * ONE;

/// What a router may take of the two tokens: more than a deposit and a swap need, so that a swap in
/// vain fails for nothing but its minimum.
const ALLOWED: [u128; 2] = [SUPPLY, SUPPLY];

/// Enough gas for a swap, without asking how much it takes.
const SWAP_GAS: u64 = 300_000;

/// A time that never comes, in seconds: the router's deadline is not what is tried here.
const NEVER: U256 = U256::MAX;

/// The router's function for a deposit: tokens, amounts, least amounts, for whom, until when.
const DEPOSITING: &str =
    "addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)";

/// The router's function for a swap: amount given, least amount taken, tokens, to whom, until when.
const SWAPPING: &str = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)";

/// The pair's event of a swap, as its source declares it.
const SWAP_EVENT: &str = "Swap(address indexed sender, uint256 amount0In, uint256 amount1In, \
                          uint256 amount0Out, uint256 amount1Out, address indexed to)";

/// The signature whose hash marks a log of that event.
const SWAP_SIGNATURE: &str = "Swap(address,uint256,uint256,uint256,uint256,address)";

/// Why the router reverts a swap that would pay less than asked for.
const TOO_LITTLE: &str = "INSUFFICIENT_OUTPUT_AMOUNT";

/// What one wallet does, and every transaction that it has sent for it.
pub(crate) struct Trade<'a, P> {
    wallet: Wallet<'a>,
    progress: P,
    steps: Vec<Step>,
}

/// What a deposit brought.
pub(crate) struct Deposited {
    pub shares: U256,
    pub reserves: [U256; 2],
}

/// What a swap brought.
pub(crate) struct Swapped {
    pub given: U256,
    pub taken: U256,
    pub reserves: [U256; 2],
    pub balances: [U256; 2],
    pub log: Log,
}

impl<'a, P: Fn(&str)> Trade<'a, P> {
    pub fn new(wallet: Wallet<'a>, progress: P) -> Self {
        Self { wallet, progress, steps: Vec::new() }
    }

    /// The wallet, and every transaction it has sent.
    pub fn finish(self) -> (Wallet<'a>, Vec<Step>) {
        (self.wallet, self.steps)
    }

    /// Deploys two tokens, whose supply is then the account's.
    pub async fn deploy_tokens(&mut self) -> eyre::Result<[Address; 2]> {
        let alpha = self.deploy_token("Alpha", "ALP").await?;
        let beta = self.deploy_token("Beta", "BET").await?;
        Ok([alpha, beta])
    }

    /// Deploys wrapped ether, which exchanges need to know of.
    pub async fn deploy_weth(&mut self) -> eyre::Result<Address> {
        self.deploy_published(WETH, "", &[]).await
    }

    /// Deploys an exchange of its own, and makes the tokens' pair on it.
    pub async fn deploy_exchange(
        &mut self,
        tokens: [Address; 2],
        weth: Address,
    ) -> eyre::Result<Contracts> {
        let account = self.wallet.address();
        let factory =
            self.deploy_published(FACTORY, "constructor(address)", &args([&account])).await?;
        let router = self
            .deploy_published(ROUTER, "constructor(address,address)", &args([&factory, &weth]))
            .await?;

        let [a, b] = tokens;
        let pair = args([&a, &b]);
        self.transact(factory, "createPair(address,address)", &pair, Fee::Capped, None).await?;
        let found = self.read(factory, "getPair(address,address)", &pair).await?;
        let pair = answers::address(found)?;
        let code_hash = keccak256(init_code(self.wallet.tools(), PAIR)?);
        same("the pair's address", pair, pair_address(factory, a, b, code_hash))?;
        Ok(Contracts { tokens, weth, factory, router, pair })
    }

    /// Puts so much of both tokens into the pair, which has to be empty.
    pub async fn deposit(&mut self, on: &Contracts, deposit: [u128; 2]) -> eyre::Result<Deposited> {
        let account = self.wallet.address();
        // One by a transaction of each kind.
        let fees = [Fee::Capped, Fee::Legacy];
        for ((token, allowed), fee) in on.tokens.iter().zip(ALLOWED).zip(fees) {
            let args = args([&on.router, &allowed]);
            self.transact(*token, "approve(address,uint256)", &args, fee, None).await?;
        }
        let [a, b] = &on.tokens;
        let [amount_a, amount_b] = &deposit;
        let args = args([a, b, amount_a, amount_b, amount_a, amount_b, &account, &NEVER]);
        self.transact(on.router, DEPOSITING, &args, Fee::Capped, None).await?;

        let deposit = deposit.map(U256::from);
        let shares = self.balance_of(on.pair).await?;
        same("the shares", Some(shares), first_shares(deposit[0], deposit[1]))?;
        let reserves = self.reserves(on).await?;
        same("the reserves after the deposit", reserves, deposit)?;
        Ok(Deposited { shares, reserves })
    }

    /// Gives some of a token away.
    pub async fn give(&mut self, token: Address, to: Address, amount: u128) -> eyre::Result<()> {
        let args = args([&to, &amount]);
        self.transact(token, "transfer(address,uint256)", &args, Fee::Capped, None).await?;
        Ok(())
    }

    /// Swaps the first token for the second, asking for exactly what the formula says.
    pub async fn swap(&mut self, on: &Contracts) -> eyre::Result<Swapped> {
        let [reserve_in, reserve_out] = self.reserves(on).await?;
        let given = U256::from(GIVEN);
        let taken = amount_out(given, reserve_in, reserve_out)
            .ok_or_else(|| eyre!("nothing can be swapped against {reserve_in}, {reserve_out}"))?;
        let quote = args([&given, &path(on)]);
        let quoted = self.wallet.call(on.router, "getAmountsOut(uint256,address[])", &quote);
        same("the router's quote", quoted.await?.last(), Some(&taken))?;

        let args = self.swap_args(on, taken);
        // No estimate: a pair's first swap in a second also writes its price sums, so that what an
        // estimate finds in one second is too little in the next.
        let receipt =
            self.transact(on.router, SWAPPING, &args, Fee::Capped, Some(SWAP_GAS)).await?;
        let reserves = self.reserves(on).await?;
        same("the reserves after the swap", reserves, [reserve_in + given, reserve_out - taken])?;
        let mut balances = [U256::ZERO; 2];
        for (balance, token) in balances.iter_mut().zip(on.tokens) {
            *balance = self.balance_of(token).await?;
        }
        let kept = DEPOSIT.map(|deposit| U256::from(SUPPLY - deposit));
        same("the balances after the swap", balances, [kept[0] - given, kept[1] + taken])?;
        let log = self.find_swap(on, &receipt, given, taken).await?;
        Ok(Swapped { given, taken, reserves, balances, log })
    }

    /// Asks for more than there is, twice: cast must refuse to send such a swap, because the chain
    /// says beforehand that it would be reverted; and sent nevertheless, it must be reverted.
    /// Returns what cast said.
    pub async fn swap_in_vain(&mut self, on: &Contracts) -> eyre::Result<String> {
        let before = self.reserves(on).await?;
        let args = self.swap_args(on, U256::MAX);
        let name = "swapping for more than there is";
        (self.progress)(name);
        let refusal = match self.wallet.send(on.router, SWAPPING, &args, Fee::Capped, None).await? {
            Sent::Refused(why) => why,
            Sent::Mined(receipt) => bail!("{name} was sent, as {}", receipt.transaction),
        };
        ensure!(refusal.contains(TOO_LITTLE), "{name} was refused for another reason: {refusal}");

        let gas = Some(SWAP_GAS);
        let receipt = match self.wallet.send(on.router, SWAPPING, &args, Fee::Capped, gas).await? {
            Sent::Mined(receipt) => receipt,
            Sent::Refused(why) => bail!("{name} without asking was refused: {why}"),
        };
        ensure!(!receipt.succeeded, "{name} succeeded, as {}", receipt.transaction);
        ensure!(receipt.logs.is_empty(), "{name} was reverted, but logged something");
        self.note(name, receipt);
        same("the reserves after a swap in vain", self.reserves(on).await?, before)?;
        Ok(refusal)
    }

    fn swap_args(&self, on: &Contracts, least: U256) -> Vec<String> {
        args([&GIVEN, &least, &path(on), &self.wallet.address(), &NEVER])
    }

    /// The log of a swap, searched for among all logs of the pair since its first transaction.
    async fn find_swap(
        &self,
        on: &Contracts,
        receipt: &Receipt,
        given: U256,
        taken: U256,
    ) -> eyre::Result<Log> {
        let first = self.steps.first().map_or(0, |step| step.receipt.block);
        let mut found = self.wallet.logs(on.pair, SWAP_EVENT, first).await?;
        same("the number of swaps in the logs", found.len(), 1)?;
        let log = found.remove(0);
        ensure!(receipt.logs.contains(&log), "{log:?} is not in the swap's receipt");
        let topics =
            [keccak256(SWAP_SIGNATURE), on.router.into_word(), self.wallet.address().into_word()];
        same("the log's topics", &log.topics[..], &topics)?;
        let [into, out_of] = [[given, U256::ZERO], [U256::ZERO, taken]]
            .map(|amounts| in_order_of(on.tokens[0], on.tokens[1], amounts));
        same("the log's amounts", answers::split(&log.data)?, [into, out_of].concat())?;
        Ok(log)
    }

    async fn deploy_token(&mut self, name: &str, symbol: &str) -> eyre::Result<Address> {
        (self.progress)(&format!("deploying {TOKEN} as {name}"));
        let args = args([&name, &symbol, &SUPPLY]);
        let receipt = self.wallet.deploy_source(TOKEN, &args).await?;
        let token = self.created(&format!("deploying {name}"), receipt)?;
        let supply = self.balance_of(token).await?;
        same("the supply of a token", supply, U256::from(SUPPLY))?;
        Ok(token)
    }

    async fn deploy_published(
        &mut self,
        artifact: &str,
        constructor: &str,
        args: &[String],
    ) -> eyre::Result<Address> {
        let name = format!("deploying {artifact}");
        (self.progress)(&name);
        let code = init_code(self.wallet.tools(), artifact)?;
        let receipt = self.wallet.deploy_code(&code, constructor, args).await?;
        self.created(&name, receipt)
    }

    fn created(&mut self, name: &str, receipt: Receipt) -> eyre::Result<Address> {
        ensure!(receipt.succeeded, "{name} was reverted, as {}", receipt.transaction);
        let created = receipt.created.ok_or_else(|| eyre!("{name} created no contract"))?;
        self.note(name, receipt);
        Ok(created)
    }

    /// Sends a transaction that must succeed.
    async fn transact(
        &mut self,
        to: Address,
        signature: &str,
        args: &[String],
        fee: Fee,
        gas: Option<u64>,
    ) -> eyre::Result<Receipt> {
        let name = signature.split('(').next().unwrap_or(signature);
        (self.progress)(name);
        let receipt = match self.wallet.send(to, signature, args, fee, gas).await? {
            Sent::Mined(receipt) => receipt,
            Sent::Refused(why) => bail!("{name} was refused: {why}"),
        };
        ensure!(receipt.succeeded, "{name} was reverted, as {}", receipt.transaction);
        let kind = if fee == Fee::Legacy { 0 } else { 2 };
        same("the transaction's type", receipt.kind, kind)?;
        self.note(name, receipt.clone());
        Ok(receipt)
    }

    fn note(&mut self, name: &str, receipt: Receipt) {
        self.steps.push(Step { name: name.to_owned(), receipt });
    }

    /// What the pair holds, in the order of the tokens.
    async fn reserves(&self, on: &Contracts) -> eyre::Result<[U256; 2]> {
        let words = self.wallet.call(on.pair, "getReserves()", &[]).await?;
        let &[first, second, _time] = &words[..] else { bail!("{words:?} are no reserves") };
        Ok(in_order_of(on.tokens[0], on.tokens[1], [first, second]))
    }

    async fn balance_of(&self, token: Address) -> eyre::Result<U256> {
        self.read(token, "balanceOf(address)", &args([&self.wallet.address()])).await
    }

    /// The one word that a function returns.
    async fn read(&self, from: Address, signature: &str, args: &[String]) -> eyre::Result<U256> {
        let words = self.wallet.call(from, signature, args).await?;
        let &[word] = &words[..] else { bail!("{signature} returned {words:?}") };
        Ok(word)
    }
}

/// The way of a swap from the first token to the second, as cast wants a list.
fn path(on: &Contracts) -> String {
    format!("[{},{}]", on.tokens[0], on.tokens[1])
}

fn same<T: Debug + PartialEq>(what: &str, found: T, expected: T) -> eyre::Result<()> {
    ensure!(found == expected, "{what}: found {found:?}, expected {expected:?}");
    Ok(())
}
