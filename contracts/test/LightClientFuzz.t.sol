// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Certificates} from "../src/Certificates.sol";
import {LightClient} from "../src/LightClient.sol";
import {Header} from "./Network.sol";
import {Posting} from "./Posting.sol";
import {vm} from "./Vm.sol";

/// What holds for every committee, every header and every bit.
contract LightClientFuzzTest is Posting {
    /// Votes of any subset of any committee are taken exactly if they are a quorum.
    function testFuzz_exactlyQuorumsDecide(uint256 seed, uint256 size, uint256 subset) public {
        size = bound(size, 1, 40);
        keys = keysFrom(bound(seed, 1, type(uint128).max), size);
        uint64[] memory seats = new uint64[](size);
        uint256 total;
        for (uint256 i = 0; i < size; i++) {
            seats[i] = uint64(bound(uint256(keccak256(abi.encode(seed, i))), 1, 25));
            total += seats[i];
        }
        committee = committeeOf(keys, seats);
        validators = validatorsHashOf(committee);
        client = clientOf(validators);

        Header memory header = following();
        bytes32 hash = precommitHashOf(header, 3);
        bytes memory votes;
        uint256 signed;
        for (uint256 i = 0; i < size; i++) {
            // Three in four vote, so that both answers come up often.
            if (uint256(keccak256(abi.encode(subset, i))) % 4 == 0) continue;
            votes = bytes.concat(votes, vote(i, sign(keys[i], hash)));
            signed += seats[i];
        }
        bytes memory call = abi.encodeCall(LightClient.post, (encode(header), 3, committee, votes));
        if (signed * 3 > total * 2) {
            (bool taken,) = address(client).call(call);
            vm.assertTrue(taken, "a quorum was refused");
        } else {
            refused(
                address(client),
                call,
                abi.encodeWithSelector(Certificates.NoQuorum.selector, signed, total)
            );
        }
    }

    /// One vote less than a quorum is none, whatever the seats.
    function testFuzz_theLastVoteDecides(uint256 seed, uint256 size) public {
        size = bound(size, 1, 40);
        keys = keysFrom(bound(seed, 1, type(uint128).max), size);
        uint64[] memory seats = new uint64[](size);
        uint256 total;
        for (uint256 i = 0; i < size; i++) {
            seats[i] = uint64(bound(uint256(keccak256(abi.encode(seed, i))), 1, 25));
            total += seats[i];
        }
        committee = committeeOf(keys, seats);
        validators = validatorsHashOf(committee);
        client = clientOf(validators);
        uint256 needed;
        uint256 signed;
        while (signed * 3 <= total * 2) {
            signed += seats[needed++];
        }
        Header memory header = following();
        refuse(
            header,
            certify(header, 0, keys, needed - 1),
            abi.encodeWithSelector(
                Certificates.NoQuorum.selector, signed - seats[needed - 1], total
            )
        );
        post(header, certify(header, 0, keys, needed));
    }

    /// Every header is taken or refused as the rules say, and read right.
    function testFuzz_headersAreReadRight(
        uint64 height,
        uint64 time,
        uint64 origin,
        uint256 l1Time,
        uint256 l1Block,
        bytes32 nextValidators,
        bytes32 withdrawals,
        bytes32 others
    ) public {
        // Mostly around where the rules draw their lines, now and then anywhere.
        l1Time = l1Time % 4 == 0
            ? bound(l1Time, GENESIS + TRUSTING - 2, GENESIS + TRUSTING + 2)
            : bound(l1Time, GENESIS, GENESIS + TRUSTING);
        l1Block = bound(l1Block, 1000, 1200);
        if (height % 8 != 0) height = uint64(bound(height, 0, 10));
        if (time % 8 != 0) {
            time = uint64(bound(time, GENESIS * 1000 - 2, l1Time * 1000 + 600_002));
        }
        if (origin % 8 != 0) origin = uint64(bound(origin, ORIGIN - 2, l1Block + 2));
        vm.warp(l1Time);
        vm.roll(l1Block);
        Header memory header = Header({
            version: 2,
            chainId: CHAIN,
            height: height,
            time: time,
            validatorsHash: validators,
            nextValidatorsHash: nextValidators,
            origin: origin,
            withdrawalsRoot: withdrawals,
            others: others
        });
        bool right = height > 0 && time > uint256(GENESIS) * 1000 && time <= l1Time * 1000 + 600_000
            && origin >= ORIGIN && origin <= l1Block && l1Time <= GENESIS + TRUSTING;
        (bool taken,) = address(client).call(posting(header));
        vm.assertTrue(taken == right);
        if (!taken) return;
        (uint64 h, uint48 t, uint48 o, uint48 postedAt, uint48 stored) = client.head();
        vm.assertEq(h, height);
        vm.assertEq(t, time);
        vm.assertEq(o, origin);
        vm.assertEq(postedAt, l1Block);
        vm.assertEq(client.next(), nextValidators);
        vm.assertEq(client.root(0), withdrawals);
        vm.assertEq(stored, withdrawals == 0 ? 0 : 1);
    }

    /// Bytes that nobody signed for are never taken, whatever gas there is.
    function testFuzz_littleGasHelpsNobody(uint256 gasLimit, uint256 first) public {
        Header memory header = following();
        bytes32 hash = precommitHashOf(header, 0);
        uint256[] memory strangers = keysFrom(bound(first, 1000, type(uint128).max), 4);
        bytes memory votes;
        for (uint256 i = 0; i < 4; i++) {
            votes = bytes.concat(votes, vote(i, sign(strangers[i], hash)));
        }
        bytes memory call = posting(header, votes);
        (bool taken,) = address(client).call{gas: bound(gasLimit, 1, 100_000)}(call);
        vm.assertFalse(taken);
    }

    function test_everyBitOfAHeaderCounts() public {
        _flip(encode(following()), 0);
    }

    function test_everyBitOfACommitteeCounts() public {
        _flip(committee, 1);
    }

    function test_everyBitOfVotesCounts() public {
        _flip(certify(following(), 0, keys, 3), 2);
    }

    function test_everyBitOfTheRoundCounts() public {
        _flip(hex"00000000", 3);
    }

    /// Flips each bit of one of the four parts of a post that is right.
    function _flip(bytes memory part, uint256 which) private {
        bytes memory header = encode(following());
        bytes memory members = committee;
        bytes memory votes = certify(following(), 0, keys, 3);
        for (uint256 bit = 0; bit < part.length * 8; bit++) {
            part[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
            bool taken = _try(
                which == 0 ? part : header,
                which == 3 ? uint32(bytes4(part)) : 0,
                which == 1 ? part : members,
                which == 2 ? part : votes
            );
            vm.assertFalse(taken, vm.toString(bit));
            part[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        }
        vm.assertTrue(_try(header, 0, members, votes));
    }

    function _try(bytes memory header, uint32 round, bytes memory members, bytes memory votes)
        private
        returns (bool)
    {
        try client.post(header, round, members, votes) {
            return true;
        } catch {
            return false;
        }
    }
}
