// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {LightClient} from "../src/LightClient.sol";
import {Header, Network} from "./Network.sol";
import {Test} from "./Test.sol";
import {vm} from "./Vm.sol";

/// A light client at its genesis, and four validators with a seat each.
abstract contract Posting is Test, Network {
    uint64 internal constant CHAIN = 1477;
    /// Genesis, s.
    uint48 internal constant GENESIS = 1_790_000_000;
    uint48 internal constant ORIGIN = 1000;
    uint48 internal constant TRUSTING = 7 days;

    LightClient internal client;
    uint256[] internal keys;
    bytes internal committee;
    bytes32 internal validators;

    function setUp() public virtual {
        vm.warp(GENESIS + 60);
        vm.roll(1100);
        keys = keysFrom(100, 4);
        committee = committeeOf(keys);
        validators = validatorsHashOf(committee);
        client = clientOf(validators);
    }

    function clientOf(bytes32 first) internal returns (LightClient) {
        return new LightClient(CHAIN, first, GENESIS * 1000, ORIGIN, TRUSTING);
    }

    /// A header that can follow the head.
    function following() internal view returns (Header memory) {
        (uint64 height, uint48 time, uint48 origin,,) = client.head();
        return Header({
            version: 2,
            chainId: CHAIN,
            height: height + 1,
            time: uint64(time) + 1000,
            validatorsHash: validators,
            nextValidatorsHash: validators,
            origin: origin,
            withdrawalsRoot: keccak256("withdrawals"),
            others: keccak256("others")
        });
    }

    function posting(Header memory header) internal view returns (bytes memory) {
        return posting(header, certify(header, 0, keys, 3));
    }

    function posting(Header memory header, bytes memory votes)
        internal
        view
        returns (bytes memory)
    {
        return abi.encodeCall(LightClient.post, (encode(header), 0, committee, votes));
    }

    function post(Header memory header) internal {
        client.post(encode(header), 0, committee, certify(header, 0, keys, 3));
    }

    function post(Header memory header, bytes memory votes) internal {
        client.post(encode(header), 0, committee, votes);
    }

    function refuse(Header memory header, bytes memory reason) internal {
        refused(address(client), posting(header), reason);
    }

    function refuse(Header memory header, bytes memory votes, bytes memory reason) internal {
        refused(address(client), posting(header, votes), reason);
    }
}
