// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Certificates} from "../src/Certificates.sol";
import {Evidence} from "../src/Evidence.sol";
import {Headers} from "../src/Headers.sol";
import {Signatures} from "../src/Signatures.sol";
import {Trees} from "../src/Trees.sol";
import {Header} from "./Network.sol";

/// The libraries behind calls, for calldata and for refusals to be caught.
contract Harness {
    using Headers for bytes;

    function recover(bytes32 hash, bytes calldata signature) external pure returns (address) {
        return Signatures.recover(hash, signature);
    }

    function committeeHash(bytes calldata committee) external pure returns (bytes32) {
        return Certificates.committeeHash(committee);
    }

    function precommitHash(uint64 chainId, uint64 height, uint32 round, bytes32 id)
        external
        pure
        returns (bytes32)
    {
        return Certificates.precommitHash(chainId, height, round, id);
    }

    function certificate(bytes32 hash, bytes calldata committee, bytes calldata votes)
        external
        view
    {
        Certificates.check(hash, committee, votes);
    }

    function evidence(
        uint64 chainId,
        uint8 kind,
        bytes calldata slot,
        bytes32 bodyA,
        bytes calldata signatureA,
        bytes32 bodyB,
        bytes calldata signatureB
    ) external pure returns (address) {
        return Evidence.check(chainId, kind, slot, bodyA, signatureA, bodyB, signatureB);
    }

    /// A header's id, and what is read of it; `others` stays empty.
    function header(bytes calldata bytes_) external pure returns (bytes32 id, Header memory read) {
        id = bytes_.id();
        read = Header({
            version: uint16(bytes2(bytes_[:2])),
            chainId: bytes_.chainId(),
            height: bytes_.height(),
            time: bytes_.time(),
            validatorsHash: bytes_.validatorsHash(),
            nextValidatorsHash: bytes_.nextValidatorsHash(),
            origin: bytes_.origin(),
            withdrawalsRoot: bytes_.withdrawalsRoot(),
            others: 0
        });
    }

    function leaf(bytes memory content) external pure returns (bytes32) {
        return Trees.leaf(content);
    }

    function root(bytes32 leafHash, uint64 index, uint64 count, bytes32[] calldata path)
        external
        pure
        returns (bytes32)
    {
        return Trees.root(leafHash, index, count, path);
    }

    function commitment(bytes32 tag, bytes32 rootHash, uint64 count)
        external
        pure
        returns (bytes32)
    {
        return Trees.commitment(tag, rootHash, count);
    }
}
