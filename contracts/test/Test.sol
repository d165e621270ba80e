// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {vm} from "./Vm.sol";

/// Functions of a contract that an invariant test calls, in the form forge reads.
struct FuzzSelector {
    address addr;
    bytes4[] selectors;
}

/// What tests have in common.
abstract contract Test {
    /// `x` if it is one of `least..=most`, else brought there.
    function bound(uint256 x, uint256 least, uint256 most) internal pure returns (uint256) {
        if (x >= least && x <= most) return x;
        return least + x % (most - least + 1);
    }

    /// The first four bytes of what a call reverted with.
    function selectorOf(bytes memory reverted) internal pure returns (bytes4) {
        return reverted.length < 4 ? bytes4(0) : bytes4(reverted);
    }

    /// Whether the two strings are the same.
    function same(string memory a, string memory b) internal pure returns (bool) {
        return keccak256(bytes(a)) == keccak256(bytes(b));
    }

    /// A call that must be refused for exactly one reason.
    function refused(address target, bytes memory call, bytes memory reason) internal {
        (bool taken, bytes memory reverted) = target.call(call);
        vm.assertFalse(taken, "was not refused");
        vm.assertEq(reverted, reason);
    }
}
