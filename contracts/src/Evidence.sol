// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Signatures} from "./Signatures.sol";

/// @title Evidence
/// @notice Proof that one validator signed two different bodies for one slot (protocol.md, section 3).
library Evidence {
    /// @notice Two signatures of this kind are no fault, or there is no such kind.
    error NotSlashable(uint8 kind);
    /// @notice The bytes are no slot of this kind.
    error NoSlot(uint8 kind, bytes slot);
    /// @notice The same body twice, or the higher hash first.
    error NotAscending(bytes32 bodyA, bytes32 bodyB);
    /// @notice Two validators signed.
    error TwoSigners(address a, address b);

    uint8 private constant BATCH = 2;
    uint8 private constant OBSERVATION = 3;
    uint8 private constant PROPOSAL = 4;
    uint8 private constant VOTE = 5;

    /// @dev Who is guilty.
    function check(
        uint64 chainId,
        uint8 kind,
        bytes calldata slot,
        bytes32 bodyA,
        bytes calldata signatureA,
        bytes32 bodyB,
        bytes calldata signatureB
    ) internal pure returns (address guilty) {
        bytes32 tag = _tag(kind);
        if (!_isSlot(kind, slot)) revert NoSlot(kind, slot);
        if (bodyA >= bodyB) revert NotAscending(bodyA, bodyB);
        bytes memory preimage = abi.encodePacked(tag, chainId, slot);
        guilty = Signatures.recover(keccak256(abi.encodePacked(preimage, bodyA)), signatureA);
        address other = Signatures.recover(keccak256(abi.encodePacked(preimage, bodyB)), signatureB);
        if (guilty != other) revert TwoSigners(guilty, other);
    }

    function _tag(uint8 kind) private pure returns (bytes32) {
        if (kind == BATCH) return keccak256("weft/batch/v1");
        if (kind == OBSERVATION) return keccak256("weft/observation/v1");
        if (kind == PROPOSAL) return keccak256("weft/proposal/v1");
        if (kind == VOTE) return keccak256("weft/vote/v1");
        revert NotSlashable(kind);
    }

    /// @dev Batch `incarnation u32 || seq u64`, observation `height u64`, proposal and vote `kind u8 ||
    /// height u64 || round u32`: any bytes of the length, but for the first of the latter two.
    function _isSlot(uint8 kind, bytes calldata slot) private pure returns (bool) {
        if (kind == BATCH) return slot.length == 12;
        if (kind == OBSERVATION) return slot.length == 8;
        if (slot.length != 13) return false;
        uint8 first = uint8(slot[0]);
        return kind == PROPOSAL ? first == 0 : first == 1 || first == 2;
    }
}
