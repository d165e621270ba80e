//! What comes from outside is another type until it has been checked.
//!
//! ```compile_fail
//! use weft_types::{Transaction, Verified};
//! fn forge(tx: Transaction) -> Verified<Transaction> {
//!     Verified { value: tx, witness: todo!() } // fields are private: only a check makes one
//! }
//! ```

use std::fmt;
use std::ops::Deref;

use borsh::{BorshDeserialize, BorshSerialize};

/// A value that can be checked on its own, given some context.
pub trait Verify: Sized {
    /// What the check needs to know, such as the chain id or the committee.
    type Context<'a>;
    /// What the check found out and nobody should compute twice: a hash, a signer.
    type Witness;
    /// Why the value was refused.
    type Error;

    /// Checks the value.
    fn verify(&self, context: Self::Context<'_>) -> Result<Self::Witness, Self::Error>;
}

/// A value whose origin is not trusted. Its content can be looked at to route it, never used.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Unverified<T>(T);

impl<T> Unverified<T> {
    /// Marks a value as not yet checked.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// What the value claims to be. Nothing in it has been checked.
    pub fn claim(&self) -> &T {
        &self.0
    }
}

impl<T: Verify> Unverified<T> {
    /// Checks the value and, if it holds, makes it usable.
    pub fn verify(self, context: T::Context<'_>) -> Result<Verified<T>, T::Error> {
        let witness = self.0.verify(context)?;
        Ok(Verified { value: self.0, witness })
    }
}

/// A value that passed its check, together with what the check found out.
pub struct Verified<T: Verify> {
    value: T,
    witness: T::Witness,
}

impl<T: Verify> Verified<T> {
    /// What the check found out.
    pub fn witness(&self) -> &T::Witness {
        &self.witness
    }

    /// For a value made out of checked parts, whose check would find nothing new.
    pub(crate) fn from_parts(value: T, witness: T::Witness) -> Self {
        Self { value, witness }
    }

    /// Gives up the proof of the check.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// The value and what the check found out, apart.
    pub fn into_parts(self) -> (T, T::Witness) {
        (self.value, self.witness)
    }
}

impl<T: Verify> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Verify + Clone> Clone for Verified<T>
where
    T::Witness: Clone,
{
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), witness: self.witness.clone() }
    }
}

impl<T: Verify + fmt::Debug> fmt::Debug for Verified<T>
where
    T::Witness: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("value", &self.value)
            .field("witness", &self.witness)
            .finish()
    }
}
