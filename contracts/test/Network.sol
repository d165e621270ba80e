// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {vm} from "./Vm.sol";

/// The fields of a header that the contracts read, and one word that stands for all others.
struct Header {
    uint16 version;
    uint64 chainId;
    uint64 height;
    uint64 time;
    bytes32 validatorsHash;
    bytes32 nextValidatorsHash;
    uint64 origin;
    bytes32 withdrawalsRoot;
    bytes32 others;
}

/// Validators that sign, and what they sign. Written from protocol.md, sections 3 and 4; shares
/// nothing with the contracts.
abstract contract Network {
    uint256 internal constant ORDER =
        0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    uint8 internal constant PREVOTE = 1;
    uint8 internal constant PRECOMMIT = 2;

    /// `count` keys, ascending by their addresses.
    function keysFrom(uint256 first, uint256 count)
        internal
        pure
        returns (uint256[] memory sorted)
    {
        sorted = new uint256[](count);
        address[] memory addresses = new address[](count);
        for (uint256 i = 0; i < count; i++) {
            address added = vm.addr(first + i);
            uint256 place = i;
            for (; place > 0 && addresses[place - 1] > added; place--) {
                (sorted[place], addresses[place]) = (sorted[place - 1], addresses[place - 1]);
            }
            (sorted[place], addresses[place]) = (first + i, added);
        }
    }

    function committeeOf(uint256[] memory keys, uint64[] memory seats)
        internal
        pure
        returns (bytes memory packed)
    {
        for (uint256 i = 0; i < keys.length; i++) {
            packed = bytes.concat(packed, bytes20(vm.addr(keys[i])), bytes8(seats[i]));
        }
    }

    /// One seat for each.
    function committeeOf(uint256[] memory keys) internal pure returns (bytes memory) {
        uint64[] memory seats = new uint64[](keys.length);
        for (uint256 i = 0; i < keys.length; i++) {
            seats[i] = 1;
        }
        return committeeOf(keys, seats);
    }

    function validatorsHashOf(bytes memory committee) internal pure returns (bytes32) {
        bytes4 count = bytes4(uint32(committee.length / 28));
        return keccak256(bytes.concat(keccak256("weft/validators/v1"), count, committee));
    }

    /// The 454 bytes of a header.
    function encode(Header memory header) internal pure returns (bytes memory) {
        bytes memory front = bytes.concat(
            bytes2(header.version),
            bytes8(header.chainId),
            bytes8(header.height),
            bytes8(header.time),
            keccak256(abi.encode(header.others, "parent")),
            bytes20(header.others),
            header.validatorsHash,
            header.nextValidatorsHash
        );
        return bytes.concat(
            front,
            bytes8(header.origin),
            keccak256(abi.encode(header.others, "origin")),
            keccak256(abi.encode(header.others, "observations")),
            keccak256(abi.encode(header.others, "batches")),
            keccak256(abi.encode(header.others, "events")),
            keccak256(abi.encode(header.others, "ledger")),
            keccak256(abi.encode(header.others, "slices")),
            keccak256(abi.encode(header.others, "results")),
            header.withdrawalsRoot,
            new bytes(48)
        );
    }

    function idOf(bytes memory header) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256("weft/header/v1"), header));
    }

    function signingHash(string memory kind, uint64 chainId, bytes memory slot, bytes32 body)
        internal
        pure
        returns (bytes32)
    {
        bytes32 tag = keccak256(bytes.concat("weft/", bytes(kind), "/v1"));
        return keccak256(bytes.concat(tag, bytes8(chainId), slot, body));
    }

    function voteSlot(uint8 kind, uint64 height, uint32 round)
        internal
        pure
        returns (bytes memory)
    {
        return bytes.concat(bytes1(kind), bytes8(height), bytes4(round));
    }

    function sign(uint256 key, bytes32 hash) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, hash);
        return bytes.concat(r, s, bytes1(v));
    }

    /// The other signature that ecrecover takes for the same hash and key, with a high `s`.
    function twinOf(bytes memory low) internal pure returns (bytes memory) {
        (bytes32 r, uint256 s) = abi.decode(low, (bytes32, uint256));
        return bytes.concat(r, bytes32(ORDER - s), bytes1(55 - uint8(low[64])));
    }

    function vote(uint256 member, bytes memory signature) internal pure returns (bytes memory) {
        return bytes.concat(bytes2(uint16(member)), signature);
    }

    function precommitHashOf(Header memory header, uint32 round) internal pure returns (bytes32) {
        return signingHash(
            "vote", header.chainId, voteSlot(PRECOMMIT, header.height, round), idOf(encode(header))
        );
    }

    /// Precommits of the first `count` of a committee.
    function certify(Header memory header, uint32 round, uint256[] memory keys, uint256 count)
        internal
        pure
        returns (bytes memory votes)
    {
        bytes32 hash = precommitHashOf(header, round);
        for (uint256 i = 0; i < count; i++) {
            votes = bytes.concat(votes, vote(i, sign(keys[i], hash)));
        }
    }

    /// A validator's signature that lets `owner` bond it.
    function possess(uint256 key, uint64 chainId, address registry, address owner)
        internal
        pure
        returns (bytes memory)
    {
        bytes32 body = keccak256(bytes.concat(bytes20(registry), bytes20(owner)));
        return sign(key, signingHash("bond", chainId, "", body));
    }
}
