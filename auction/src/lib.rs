//! The top-of-block auction (protocol section 8): bids to winners, payments and shares. Pure: no IO,
//! no clock, no randomness, no order but the one that is stated.
//!
//! A **lot** is the head of one namespace's slice at one height. A [bid](Bid) is for one to eight lots
//! of one height and takes all of them or none.
//!
//! | module | |
//! |---|---|
//! | [`bid`] | bids and the lots they are for |
//! | [`opening`] | which bids stand, and why the others do not |
//! | [`winners`] | who wins |
//! | [`shares`] | who gets what is paid |
//! | [`reserve`] | the price below which a lot is not sold |

pub mod bid;
pub mod opening;
pub mod reserve;
pub mod shares;
pub mod winners;

pub use bid::{Bid, Lots};
pub use opening::{Conditions, Hold, Opening, Rejection, open};
pub use reserve::{next_reserve, unsold};
pub use shares::{Split, Terms, shapley, split};
pub use winners::{Allocation, MAX_BRANCHINGS, MAX_GROUP, determine};
