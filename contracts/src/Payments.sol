// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Payments
/// @notice Sends wei to whoever it is due to, a contract perhaps.
library Payments {
    /// @notice The receiver did not take the payment, or there is not so much to pay.
    error PaymentFailed(address to, uint256 amount);

    /// @dev Gives away control: everything that must hold afterwards has to be written before.
    function send(address to, uint256 amount) internal {
        bool taken;
        // Like `to.call{value: amount}("")`, but copies nothing of what comes back. A receiver could
        // otherwise have whoever calls pay for as much memory as it likes to return.
        assembly ("memory-safe") {
            taken := call(gas(), to, amount, 0, 0, 0, 0)
        }
        if (!taken) revert PaymentFailed(to, amount);
    }
}
