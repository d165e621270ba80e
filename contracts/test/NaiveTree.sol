// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// The trees of protocol.md, section 3, by the recursive definition of RFC 6962: split at the
/// largest power of two below the number of leaves. Shares nothing with the contracts, which go
/// from a leaf upwards.
abstract contract NaiveTree {
    function leafOf(bytes memory content) internal pure returns (bytes32) {
        return keccak256(bytes.concat(hex"00", content));
    }

    function commitmentOf(string memory tag, bytes32 root, uint64 count)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(bytes.concat(keccak256(bytes(tag)), bytes8(count), root));
    }

    function rootOf(bytes32[] memory leaves) internal pure returns (bytes32) {
        return leaves.length == 0 ? bytes32(0) : _root(leaves, 0, leaves.length);
    }

    /// Siblings of a leaf, lowest first.
    function pathOf(bytes32[] memory leaves, uint256 index)
        internal
        pure
        returns (bytes32[] memory)
    {
        return _path(leaves, 0, leaves.length, index);
    }

    function _split(uint256 count) private pure returns (uint256 half) {
        half = 1;
        while (half * 2 < count) {
            half *= 2;
        }
    }

    function _root(bytes32[] memory leaves, uint256 from, uint256 count)
        private
        pure
        returns (bytes32)
    {
        if (count == 1) return leaves[from];
        uint256 half = _split(count);
        bytes32 left = _root(leaves, from, half);
        return keccak256(bytes.concat(hex"01", left, _root(leaves, from + half, count - half)));
    }

    function _path(bytes32[] memory leaves, uint256 from, uint256 count, uint256 index)
        private
        pure
        returns (bytes32[] memory path)
    {
        if (count == 1) return new bytes32[](0);
        uint256 half = _split(count);
        bytes32[] memory below;
        bytes32 sibling;
        if (index < half) {
            below = _path(leaves, from, half, index);
            sibling = _root(leaves, from + half, count - half);
        } else {
            below = _path(leaves, from + half, count - half, index - half);
            sibling = _root(leaves, from, half);
        }
        path = new bytes32[](below.length + 1);
        for (uint256 i = 0; i < below.length; i++) {
            path[i] = below[i];
        }
        path[below.length] = sibling;
    }
}
