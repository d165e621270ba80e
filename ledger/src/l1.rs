//! What L1 blocks bring (protocol sections 6 and 10).

use weft_types::{Address, L1Event, L1Events, SliceEntry, Wei};

use crate::apply::Progress;
use crate::entry::{Key, Relay, Value};
use crate::state::State;

/// Of so many wei that transactions pay, one goes to relayers, while their pool has room.
const RELAY_PART: Wei = 20;

/// Rewards that the relayers' pool has room for.
const POOLED_REWARDS: Wei = 64;

impl State {
    /// Takes in the events of the L1 block of that number.
    pub(crate) fn take_in(&mut self, number: u64, events: &L1Events, progress: &mut Progress) {
        for event in &events.0 {
            match event {
                L1Event::Deposit { to, amount } => self.credit(*to, *amount),
                L1Event::Stake { validator, stake } => self.set_stake(*validator, *stake),
                L1Event::Forced { namespace, index, sender, fee, data } => {
                    self.pool(*fee);
                    if self.namespace(*namespace).is_some() {
                        let (index, sender, data) = (*index, *sender, data.clone());
                        progress.push(*namespace, SliceEntry::Forced { index, sender, data });
                    }
                }
                L1Event::Posted { poster, .. } => self.pay_poster(number, *poster),
            }
        }
    }

    /// What of the fees of a block goes to relayers; the rest is for validators.
    pub(crate) fn pool_share(&mut self, collected: Wei) -> Wei {
        let most = self.params().relay_reward.saturating_mul(POOLED_REWARDS);
        let room = most.saturating_sub(self.relay().pool);
        let share = collected.checked_div(RELAY_PART).unwrap_or(0).min(room);
        self.pool(share);
        share
    }

    fn pool(&mut self, amount: Wei) {
        if amount > 0 {
            let relay = self.relay();
            let pool = relay.pool.saturating_add(amount);
            self.burn(amount.saturating_sub(pool.saturating_sub(relay.pool)));
            self.put(Key::Relay, Value::Relay(Relay { pool, ..relay }));
        }
    }

    fn pay_poster(&mut self, number: u64, poster: Address) {
        let relay = self.relay();
        if number < relay.paid_at.saturating_add(self.params().relay_interval) {
            return;
        }
        let reward = relay.pool.min(self.params().relay_reward);
        let pool = relay.pool.saturating_sub(reward);
        self.put(Key::Relay, Value::Relay(Relay { pool, paid_at: number }));
        self.credit(poster, reward);
    }
}
