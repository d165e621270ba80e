// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Headers
/// @notice Reads the fixed layout of a header (protocol.md, section 4).
library Headers {
    /// @notice The header has another length than 454 bytes.
    error HeaderLength(uint256 length);

    /// @dev Bytes of a header.
    uint256 internal constant LENGTH = 454;

    bytes32 private constant TAG = keccak256("weft/header/v1");

    /// @dev The block's id, which votes name. Refuses what has not the length of a header; the
    /// functions below rely on that having been done.
    function id(bytes calldata header) internal pure returns (bytes32 blockId) {
        if (header.length != LENGTH) revert HeaderLength(header.length);
        bytes32 tag = TAG;
        // Hashed beyond the free memory pointer without moving it.
        assembly ("memory-safe") {
            let preimage := mload(0x40)
            mstore(preimage, tag)
            calldatacopy(add(preimage, 32), header.offset, LENGTH)
            blockId := keccak256(preimage, add(LENGTH, 32))
        }
    }

    /// @dev The network's chain id.
    function chainId(bytes calldata header) internal pure returns (uint64) {
        return _number(header, 2);
    }

    /// @dev Height of the block.
    function height(bytes calldata header) internal pure returns (uint64) {
        return _number(header, 10);
    }

    /// @dev Time of the block, ms.
    function time(bytes calldata header) internal pure returns (uint64) {
        return _number(header, 18);
    }

    /// @dev Hash of the committee that decided the block.
    function validatorsHash(bytes calldata header) internal pure returns (bytes32) {
        return _word(header, 78);
    }

    /// @dev Hash of the committee of the next height.
    function nextValidatorsHash(bytes calldata header) internal pure returns (bytes32) {
        return _word(header, 110);
    }

    /// @dev Number of the L1 block up to which L1 has been taken in.
    function origin(bytes calldata header) internal pure returns (uint64) {
        return _number(header, 142);
    }

    /// @dev Commitment to all withdrawals up to the parent.
    function withdrawalsRoot(bytes calldata header) internal pure returns (bytes32) {
        return _word(header, 374);
    }

    function _number(bytes calldata header, uint256 offset) private pure returns (uint64) {
        return uint64(uint256(_word(header, offset)) >> 192);
    }

    /// @dev Without the bounds check of a slice: a header's length is checked once, and every place
    /// read above is a constant below 454 - 32.
    function _word(bytes calldata header, uint256 offset) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := calldataload(add(header.offset, offset))
        }
    }
}
