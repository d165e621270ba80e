//! What each kind of transaction does, once its bytes are paid for.
//!
//! Each handler either takes full effect or none, and says why.

use weft_types::{
    Address, Height, Leg, NamespaceId, NamespaceSettings, Payload, SkipReason, TimeMs, Wei,
};

use crate::apply::encoded_len;
use crate::entry::{GlobalPrice, Key, Namespace, Release, Value};
use crate::state::State;
use crate::undecided::Standing;

/// What a handler needs to know of the transaction and its block.
pub(crate) struct Call {
    pub(crate) sender: Address,
    /// Size of the transaction.
    pub(crate) bytes: u32,
    /// Most the sender pays on top of what it paid for inclusion.
    pub(crate) fee_left: Wei,
    pub(crate) now: TimeMs,
    pub(crate) height: Height,
}

/// Something that a namespace takes.
struct Order {
    id: NamespaceId,
    fee: Wei,
    /// The namespace afterwards.
    after: Namespace,
}

impl State {
    /// Takes the payload's effect. Returns what it cost on top of inclusion, which has left the
    /// sender's balance and goes to validators.
    pub(crate) fn execute(&mut self, payload: &Payload, call: &Call) -> Result<Wei, SkipReason> {
        match payload {
            Payload::Submit { namespace, .. } => self.submit(*namespace, call),
            Payload::Transfer { to, amount } => self.transfer(*to, *amount, call),
            Payload::Withdraw { to, amount } => self.withdraw(*to, *amount, call),
            Payload::RegisterNamespace { namespace, settings } => {
                self.register(*namespace, settings, call)
            }
            Payload::UpdateNamespace { namespace, settings } => {
                self.update(*namespace, settings, call)
            }
            Payload::Bundle { legs } => self.bundle(legs, call),
            Payload::LockCollateral { amount } => self.lock(*amount, call),
            Payload::ReleaseCollateral { amount } => self.release(*amount, call),
            // Opened and settled before all else; its fee is paid, and nothing is left to do.
            Payload::Bid { .. } => Ok(0),
            Payload::Verdict { bundle, namespace, effects } => {
                self.judge(*bundle, *namespace, *effects, call)
            }
        }
    }

    fn submit(&mut self, id: NamespaceId, call: &Call) -> Result<Wei, SkipReason> {
        let order = self.test_order(id, call.bytes, call)?;
        let fee = order.fee;
        self.pay_orders(vec![order], fee, call)
    }

    /// Tests every leg before it places any: all of them are ordered, or none.
    fn bundle(&mut self, legs: &[Leg], call: &Call) -> Result<Wei, SkipReason> {
        let tested = legs.iter().map(|leg| self.test_order(leg.namespace, encoded_len(leg), call));
        let orders = tested.collect::<Result<Vec<_>, _>>()?;
        let fee = orders.iter().fold(0, |sum: Wei, order| sum.saturating_add(order.fee));
        self.pay_orders(orders, fee, call)
    }

    /// Tests whether a namespace takes so many bytes from the sender, but for the fee.
    fn test_order(&self, id: NamespaceId, bytes: u32, call: &Call) -> Result<Order, SkipReason> {
        let namespace = self.namespace(id).ok_or(SkipReason::UnknownNamespace)?;
        if !namespace.settings.submitters.allows(&call.sender) {
            return Err(SkipReason::NotAdmitted);
        }
        let bytes = u64::from(bytes);
        let tokens = namespace.tokens_at(call.now);
        if tokens.is_some_and(|tokens| tokens < bytes) {
            return Err(SkipReason::OverQuota);
        }
        let fee = u128::from(bytes).saturating_mul(self.namespace_price(namespace, call.now));
        let after = Namespace {
            tokens: tokens.map_or(0, |tokens| tokens.saturating_sub(bytes)),
            tokens_at_ms: call.now,
            ..namespace.clone()
        };
        Ok(Order { id, fee, after })
    }

    fn pay_orders(&mut self, orders: Vec<Order>, fee: Wei, call: &Call) -> Result<Wei, SkipReason> {
        if fee > call.fee_left {
            return Err(SkipReason::NamespaceFeeNotCovered);
        }
        let balance = self
            .balance(&call.sender)
            .checked_sub(fee)
            .ok_or(SkipReason::NamespaceFeeNotCovered)?;
        self.set_balance(call.sender, balance);
        for Order { id, after, .. } in orders {
            self.set_namespace(id, after);
        }
        Ok(fee)
    }

    fn transfer(&mut self, to: Address, amount: Wei, call: &Call) -> Result<Wei, SkipReason> {
        let from =
            self.balance(&call.sender).checked_sub(amount).ok_or(SkipReason::BalanceTooLow)?;
        // To itself: the balance must suffice and stays.
        if to != call.sender {
            let onto = self.balance(&to).checked_add(amount).ok_or(SkipReason::Overflow)?;
            self.set_balance(call.sender, from);
            self.set_balance(to, onto);
        }
        Ok(0)
    }

    /// The balance leaves at once; on L1 it is there once a header that commits to it is posted.
    fn withdraw(&mut self, to: Address, amount: Wei, call: &Call) -> Result<Wei, SkipReason> {
        let left =
            self.balance(&call.sender).checked_sub(amount).ok_or(SkipReason::BalanceTooLow)?;
        self.set_balance(call.sender, left);
        self.add_withdrawal(to, amount);
        Ok(0)
    }

    fn lock(&mut self, amount: Wei, call: &Call) -> Result<Wei, SkipReason> {
        let left =
            self.balance(&call.sender).checked_sub(amount).ok_or(SkipReason::BalanceTooLow)?;
        let locked =
            self.collateral(&call.sender).checked_add(amount).ok_or(SkipReason::Overflow)?;
        self.set_balance(call.sender, left);
        self.set_collateral(call.sender, locked);
        Ok(0)
    }

    /// Backs nothing from now on, and is on the balance again after the network's delay.
    fn release(&mut self, amount: Wei, call: &Call) -> Result<Wei, SkipReason> {
        let left = self
            .collateral(&call.sender)
            .checked_sub(amount)
            .ok_or(SkipReason::CollateralTooLow)?;
        let at_ms = call.now.saturating_add(self.params().collateral_delay_ms);
        let key = Key::Release(Release { at_ms, account: call.sender });
        let releasing = self.wei(&key).checked_add(amount).ok_or(SkipReason::Overflow)?;
        self.set_collateral(call.sender, left);
        self.put(key, Value::Wei(releasing));
        Ok(0)
    }

    fn register(
        &mut self,
        id: NamespaceId,
        settings: &NamespaceSettings,
        call: &Call,
    ) -> Result<Wei, SkipReason> {
        if self.namespace(id).is_some() {
            return Err(SkipReason::NamespaceTaken);
        }
        let fee = self.params().registration_fee;
        let balance =
            self.balance(&call.sender).checked_sub(fee).ok_or(SkipReason::BalanceTooLow)?;
        let price = GlobalPrice { base_fee: self.params().min_base_fee, at_ms: call.now };
        self.set_balance(call.sender, balance);
        self.set_namespace(
            id,
            Namespace {
                settings: settings.clone(),
                price,
                tokens: settings.quota.map_or(0, |quota| quota.burst_bytes),
                tokens_at_ms: call.now,
                reserve: 0,
                reserve_at: call.height,
                earned: 0,
                held_by: None,
                standing: Standing::default(),
            },
        );
        Ok(fee)
    }

    fn update(
        &mut self,
        id: NamespaceId,
        settings: &NamespaceSettings,
        call: &Call,
    ) -> Result<Wei, SkipReason> {
        let namespace = self.namespace(id).ok_or(SkipReason::UnknownNamespace)?;
        if namespace.settings.owner != call.sender {
            return Err(SkipReason::NotOwner);
        }
        // A bucket that stays keeps its level; a new one starts full.
        let tokens = match (namespace.tokens_at(call.now), settings.quota) {
            (Some(tokens), Some(quota)) => tokens.min(quota.burst_bytes),
            (None, Some(quota)) => quota.burst_bytes,
            (_, None) => 0,
        };
        let namespace = Namespace {
            settings: settings.clone(),
            tokens,
            tokens_at_ms: call.now,
            reserve: namespace.reserve(call.height.saturating_add(1)).unwrap_or(namespace.reserve),
            reserve_at: call.height,
            price: namespace.price,
            earned: namespace.earned,
            held_by: namespace.held_by,
            standing: namespace.standing,
        };
        self.set_namespace(id, namespace);
        Ok(0)
    }
}

impl Namespace {
    /// Bytes that the quota lets through at `now`, or `None` without a quota.
    pub fn tokens_at(&self, now: TimeMs) -> Option<u64> {
        let quota = self.settings.quota?;
        let elapsed = u128::from(now.saturating_sub(self.tokens_at_ms));
        let gained = elapsed.saturating_mul(u128::from(quota.bytes_per_second)) / 1000;
        let tokens = u128::from(self.tokens).saturating_add(gained);
        Some(u64::try_from(tokens).unwrap_or(u64::MAX).min(quota.burst_bytes))
    }
}
