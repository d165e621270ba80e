// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Trees
/// @notice Paths and list commitments in the keccak256 trees of protocol.md, section 3.
library Trees {
    /// @notice A list of `count` has no such index.
    error NoSuchLeaf(uint64 index, uint64 count);
    /// @notice The path of leaf `index` of `count` has another number of siblings.
    error PathLength(uint256 siblings, uint64 index, uint64 count);

    /// @dev Hash of a leaf with this content.
    function leaf(bytes memory content) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(0), content));
    }

    /// @dev The root that leads from leaf `index` of `count` along its siblings, lowest first. The
    /// shape of the tree follows from `count`: where a level's last node has no sibling it is carried
    /// up, and the path names none.
    function root(bytes32 leafHash, uint64 index, uint64 count, bytes32[] calldata path)
        internal
        pure
        returns (bytes32 hash)
    {
        if (index >= count) revert NoSuchLeaf(index, count);
        hash = leafHash;
        uint256 place = index;
        uint256 width = count;
        uint256 used;
        while (width > 1) {
            bool isRight = place & 1 == 1;
            if (isRight || place + 1 < width) {
                if (used == path.length) revert PathLength(path.length, index, count);
                bytes32 sibling = path[used++];
                hash = isRight ? _node(sibling, hash) : _node(hash, sibling);
            }
            place >>= 1;
            width = (width + 1) >> 1;
        }
        if (used != path.length) revert PathLength(path.length, index, count);
    }

    /// @dev A root bound to the list's meaning, by the hash of its tag, and to its length.
    function commitment(bytes32 tag, bytes32 rootHash, uint64 count)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(tag, count, rootHash));
    }

    function _node(bytes32 left, bytes32 right) private pure returns (bytes32 hash) {
        // Hashed beyond the free memory pointer without moving it: a path would otherwise leave 128
        // bytes behind per level.
        assembly ("memory-safe") {
            let memoryEnd := mload(0x40)
            mstore8(memoryEnd, 1)
            mstore(add(memoryEnd, 1), left)
            mstore(add(memoryEnd, 33), right)
            hash := keccak256(memoryEnd, 65)
        }
    }
}
