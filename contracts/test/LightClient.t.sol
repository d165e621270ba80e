// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Certificates} from "../src/Certificates.sol";
import {Headers} from "../src/Headers.sol";
import {LightClient} from "../src/LightClient.sol";
import {Signatures} from "../src/Signatures.sol";
import {Header} from "./Network.sol";
import {Posting} from "./Posting.sol";
import {vm} from "./Vm.sol";

/// One test per rule of spec/ethereum.md, Light client.
contract LightClientTest is Posting {
    event Posted(uint64 indexed height, bytes32 id, address indexed poster);
    event RootStored(uint256 indexed place, bytes32 root);

    function test_startsAtTheGenesis() public view {
        (uint64 height, uint48 time, uint48 origin, uint48 postedAt, uint48 stored) = client.head();
        vm.assertEq(height, 0);
        vm.assertEq(time, uint256(GENESIS) * 1000);
        vm.assertEq(origin, ORIGIN);
        vm.assertEq(postedAt, 1100);
        vm.assertEq(stored, 0);
        vm.assertEq(client.next(), validators);
        vm.assertEq(client.chainId(), CHAIN);
        vm.assertEq(client.trustingPeriod(), TRUSTING);
    }

    function test_aHeaderMovesTheHead() public {
        Header memory header = following();
        header.height = 70;
        header.origin = 1050;
        vm.roll(1234);
        vm.expectEmit(address(client));
        emit RootStored(0, header.withdrawalsRoot);
        vm.expectEmit(address(client));
        emit Posted(70, idOf(encode(header)), address(0xbeef));
        bytes memory votes = certify(header, 0, keys, 3);
        vm.prank(address(0xbeef));
        post(header, votes);
        (uint64 height, uint48 time, uint48 origin, uint48 postedAt, uint48 stored) = client.head();
        vm.assertEq(height, 70);
        vm.assertEq(time, header.time);
        vm.assertEq(origin, 1050);
        vm.assertEq(postedAt, 1234);
        vm.assertEq(stored, 1);
        vm.assertEq(client.next(), validators);
    }

    function test_headerLength() public {
        bytes memory header = encode(following());
        bytes memory votes = certify(following(), 0, keys, 3);
        bytes memory shorter = header;
        for (uint256 length = 453; length <= 455; length += 2) {
            shorter = bytes.concat(header, hex"00");
            assembly ("memory-safe") {
                mstore(shorter, length)
            }
            refused(
                address(client),
                abi.encodeCall(LightClient.post, (shorter, 0, committee, votes)),
                abi.encodeWithSelector(Headers.HeaderLength.selector, length)
            );
        }
        client.post(header, 0, committee, votes);
    }

    function test_theVersionDecidesNothing() public {
        Header memory header = following();
        header.version = 0;
        post(header);
        header = following();
        header.version = type(uint16).max;
        header.height += 1;
        header.time += 1000;
        post(header);
    }

    function test_chain() public {
        Header memory header = following();
        header.chainId = CHAIN + 1;
        refuse(header, abi.encodeWithSelector(LightClient.WrongChain.selector, CHAIN + 1));
        header.chainId = CHAIN - 1;
        refuse(header, abi.encodeWithSelector(LightClient.WrongChain.selector, CHAIN - 1));
    }

    function test_heightIsAboveTheHeads() public {
        Header memory header = following();
        header.height = 10;
        post(header);
        header.time += 1000;
        for (uint64 height = 9; height <= 10; height++) {
            header.height = height;
            refuse(header, abi.encodeWithSelector(LightClient.HeightNotAbove.selector, height, 10));
        }
        header.height = 11;
        post(header);
    }

    function test_timeIsAboveTheHeads() public {
        Header memory header = following();
        uint64 head = uint64(GENESIS) * 1000;
        for (uint64 time = head - 1; time <= head; time++) {
            header.time = time;
            refuse(header, abi.encodeWithSelector(LightClient.TimeNotAbove.selector, time, head));
        }
        header.time = head + 1;
        post(header);
    }

    function test_timeIsNotFarAhead() public {
        Header memory header = following();
        uint64 l1 = (GENESIS + 60) * 1000;
        header.time = l1 + 600_001;
        refuse(header, abi.encodeWithSelector(LightClient.TimeAhead.selector, l1 + 600_001, l1));
        header.time = type(uint64).max;
        refuse(header, abi.encodeWithSelector(LightClient.TimeAhead.selector, type(uint64).max, l1));
        header.time = l1 + 600_000;
        post(header);
    }

    function test_originIsNotBelowTheHeads() public {
        Header memory header = following();
        header.origin = ORIGIN - 1;
        refuse(header, abi.encodeWithSelector(LightClient.OriginBelow.selector, ORIGIN - 1, ORIGIN));
        header.origin = ORIGIN;
        post(header);
        header = following();
        header.origin = ORIGIN + 1;
        post(header);
    }

    function test_originIsABlockOfL1() public {
        Header memory header = following();
        header.origin = 1101;
        refuse(header, abi.encodeWithSelector(LightClient.OriginAhead.selector, 1101, 1100));
        header.origin = type(uint64).max;
        refuse(
            header, abi.encodeWithSelector(LightClient.OriginAhead.selector, type(uint64).max, 1100)
        );
        header.origin = 1100;
        post(header);
    }

    function test_trustingPeriod() public {
        Header memory header = following();
        vm.warp(GENESIS + TRUSTING + 1);
        header.time = (GENESIS + TRUSTING) * 1000;
        refuse(header, abi.encodeWithSelector(LightClient.Expired.selector, GENESIS + TRUSTING));
        vm.warp(GENESIS + TRUSTING);
        post(header);
        // Counted from the head's time, not from when it was posted.
        header = following();
        vm.warp(GENESIS + 2 * TRUSTING + 1);
        refuse(header, abi.encodeWithSelector(LightClient.Expired.selector, GENESIS + 2 * TRUSTING));
    }

    function test_trustingPeriodIsExactToTheMillisecond() public {
        Header memory header = following();
        header.time = uint64(GENESIS) * 1000 + 1;
        post(header);
        header.height = 2;
        header.time += 1;
        vm.warp(GENESIS + TRUSTING + 1);
        refuse(header, abi.encodeWithSelector(LightClient.Expired.selector, GENESIS + TRUSTING));
        vm.warp(GENESIS + TRUSTING);
        post(header);
    }

    function test_validatorsAreTheTrustedOnes() public {
        Header memory header = following();
        header.validatorsHash = keccak256("others");
        refuse(
            header,
            abi.encodeWithSelector(
                LightClient.WrongValidators.selector, header.validatorsHash, validators
            )
        );
    }

    function test_committeeIsTheTrustedOne() public {
        Header memory header = following();
        uint256[] memory others = keysFrom(500, 4);
        bytes memory theirs = committeeOf(others);
        refused(
            address(client),
            abi.encodeCall(
                LightClient.post, (encode(header), 0, theirs, certify(header, 0, others, 4))
            ),
            abi.encodeWithSelector(
                LightClient.WrongCommittee.selector, validatorsHashOf(theirs), validators
            )
        );
    }

    function test_committeeLength() public {
        Header memory header = following();
        bytes memory votes = certify(header, 0, keys, 3);
        bytes memory longer = bytes.concat(committee, hex"00");
        bytes memory shorter = bytes.concat(committee);
        assembly ("memory-safe") {
            mstore(shorter, 111)
        }
        refused(
            address(client),
            abi.encodeCall(LightClient.post, (encode(header), 0, longer, votes)),
            abi.encodeWithSelector(Certificates.CommitteeLength.selector, 113)
        );
        refused(
            address(client),
            abi.encodeCall(LightClient.post, (encode(header), 0, shorter, votes)),
            abi.encodeWithSelector(Certificates.CommitteeLength.selector, 111)
        );
    }

    function test_votesLength() public {
        Header memory header = following();
        bytes memory votes = certify(header, 0, keys, 3);
        refuse(
            header,
            bytes.concat(votes, hex"00"),
            abi.encodeWithSelector(Certificates.VotesLength.selector, 202)
        );
        assembly ("memory-safe") {
            mstore(votes, 200)
        }
        refuse(header, votes, abi.encodeWithSelector(Certificates.VotesLength.selector, 200));
    }

    /// The last bytes of calldata may be cut off: what is missing reads as zero and must not count.
    function test_calldataThatEndsEarly() public {
        bytes memory whole = posting(following());
        for (uint256 cut = 1; cut < whole.length; cut += 7) {
            bytes memory part = bytes.concat(whole);
            assembly ("memory-safe") {
                mstore(part, sub(mload(part), cut))
            }
            uint256 before = vm.snapshotState();
            (bool taken,) = address(client).call(part);
            // 23 bytes of padding follow the last signature.
            vm.assertTrue(taken == (cut <= 23), vm.toString(cut));
            vm.revertToState(before);
        }
    }

    function test_aQuorumIsMoreThanTwoThirdsOfAllSeats() public {
        uint64[] memory seats = new uint64[](4);
        (seats[0], seats[1], seats[2], seats[3]) = (3, 3, 1, 2);
        committee = committeeOf(keys, seats);
        validators = validatorsHashOf(committee);
        client = clientOf(validators);
        Header memory header = following();
        refuse(
            header,
            certify(header, 0, keys, 2),
            abi.encodeWithSelector(Certificates.NoQuorum.selector, 6, 9)
        );
        refuse(header, "", abi.encodeWithSelector(Certificates.NoQuorum.selector, 0, 9));
        post(header, certify(header, 0, keys, 3));
    }

    function test_moreVotesThanNeededAreCheckedToo() public {
        Header memory header = following();
        bytes32 hash = precommitHashOf(header, 0);
        bytes memory three = certify(header, 0, keys, 3);
        refuse(
            header,
            bytes.concat(three, vote(3, sign(keys[0], hash))),
            abi.encodeWithSelector(
                Certificates.WrongSigner.selector, 3, vm.addr(keys[3]), vm.addr(keys[0])
            )
        );
        post(header, certify(header, 0, keys, 4));
    }

    function test_anEmptyCommitteeDecidesNothing() public {
        committee = "";
        validators = validatorsHashOf("");
        client = clientOf(validators);
        refuse(following(), "", abi.encodeWithSelector(Certificates.NoQuorum.selector, 0, 0));
    }

    function test_votesAscend() public {
        Header memory header = following();
        bytes32 hash = precommitHashOf(header, 0);
        bytes[4] memory votes;
        for (uint256 i = 0; i < 4; i++) {
            votes[i] = vote(i, sign(keys[i], hash));
        }
        refuse(
            header,
            bytes.concat(votes[0], votes[2], votes[1]),
            abi.encodeWithSelector(Certificates.VotesUnsorted.selector, 1)
        );
        refuse(
            header,
            bytes.concat(votes[0], votes[1], votes[1]),
            abi.encodeWithSelector(Certificates.VotesUnsorted.selector, 1)
        );
        refuse(
            header,
            bytes.concat(votes[0], votes[0], votes[0]),
            abi.encodeWithSelector(Certificates.VotesUnsorted.selector, 0)
        );
        post(header, bytes.concat(votes[0], votes[1], votes[3]));
    }

    function test_votersAreMembers() public {
        Header memory header = following();
        bytes32 hash = precommitHashOf(header, 0);
        bytes memory two = certify(header, 0, keys, 2);
        for (uint256 i = 4; i < 65_536; i += 65_531) {
            refuse(
                header,
                bytes.concat(two, vote(i, sign(keys[2], hash))),
                abi.encodeWithSelector(Certificates.UnknownMember.selector, i, 4)
            );
        }
    }

    /// What calldata holds behind the committee is whatever the poster put there: a member, perhaps,
    /// with all seats one could wish for.
    function test_membersBehindTheEndAreNobody() public {
        Header memory header = following();
        uint256 stranger = 666;
        bytes memory hidden = bytes.concat(bytes20(vm.addr(stranger)), bytes8(type(uint64).max));
        bytes memory votes = vote(4, sign(stranger, precommitHashOf(header, 0)));
        bytes memory call = abi.encodeCall(
            LightClient.post, (encode(header), 0, bytes.concat(committee, hidden), votes)
        );
        // Behind the selector, four words, the header and its length: the committee's length.
        _set(call, 4 + 128 + 32 + 480, 140, 112);
        refused(
            address(client), call, abi.encodeWithSelector(Certificates.UnknownMember.selector, 4, 4)
        );
    }

    function test_votesBehindTheEndAreNone() public {
        bytes memory call = posting(following());
        // The same, and the committee with its length: the votes' length.
        _set(call, 4 + 128 + 32 + 480 + 32 + 128, 201, 134);
        refused(address(client), call, abi.encodeWithSelector(Certificates.NoQuorum.selector, 2, 4));
    }

    function test_votersSignThemselves() public {
        Header memory header = following();
        bytes memory two = certify(header, 0, keys, 2);
        refuse(
            header,
            bytes.concat(two, vote(2, sign(keys[3], precommitHashOf(header, 0)))),
            abi.encodeWithSelector(
                Certificates.WrongSigner.selector, 2, vm.addr(keys[2]), vm.addr(keys[3])
            )
        );
    }

    function test_votesAreOfTheRoundAndKindAndChainAndHeightAndBlock() public {
        Header memory header = following();
        bytes32 id = idOf(encode(header));
        bytes memory slot = voteSlot(PRECOMMIT, header.height, 0);
        bytes32[6] memory hashes = [
            signingHash("vote", CHAIN, voteSlot(PRECOMMIT, header.height, 1), id),
            signingHash("vote", CHAIN, voteSlot(PREVOTE, header.height, 0), id),
            signingHash("vote", CHAIN + 1, slot, id),
            signingHash("vote", CHAIN, voteSlot(PRECOMMIT, header.height + 1, 0), id),
            signingHash("vote", CHAIN, slot, bytes32(0)),
            signingHash("proposal", CHAIN, slot, id)
        ];
        for (uint256 i = 0; i < 6; i++) {
            bytes memory votes;
            for (uint256 j = 0; j < 4; j++) {
                votes = bytes.concat(votes, vote(j, sign(keys[j], hashes[i])));
            }
            (bool taken, bytes memory reason) = address(client).call(posting(header, votes));
            vm.assertFalse(taken, vm.toString(i));
            vm.assertEq(bytes32(selectorOf(reason)), bytes32(Certificates.WrongSigner.selector));
        }
        client.post(encode(header), 7, committee, certify(header, 7, keys, 3));
    }

    function test_signaturesAreInTheOneForm() public {
        Header memory header = following();
        bytes memory two = certify(header, 0, keys, 2);
        bytes memory fine = sign(keys[2], precommitHashOf(header, 0));

        bytes memory twin = twinOf(fine);
        (, bytes32 s) = abi.decode(twin, (bytes32, bytes32));
        refuse(
            header,
            bytes.concat(two, vote(2, twin)),
            abi.encodeWithSelector(Signatures.HighS.selector, s)
        );
        uint8[4] memory bytesRefused = [0, 1, 26, 29];
        for (uint256 i = 0; i < 4; i++) {
            bytes memory changed = bytes.concat(fine);
            changed[64] = bytes1(bytesRefused[i]);
            refuse(
                header,
                bytes.concat(two, vote(2, changed)),
                abi.encodeWithSelector(Signatures.RecoveryByte.selector, bytesRefused[i])
            );
        }
        refuse(
            header,
            bytes.concat(two, vote(2, bytes.concat(new bytes(64), hex"1b"))),
            abi.encodeWithSelector(Signatures.Unrecoverable.selector)
        );
        post(header, bytes.concat(two, vote(2, fine)));
    }

    /// ecrecover answers nobody with zero, and zero as well for what it refuses.
    function test_nobodyIsNoMember() public {
        committee = bytes.concat(bytes20(0), bytes8(uint64(1)));
        validators = validatorsHashOf(committee);
        client = clientOf(validators);
        refuse(
            following(),
            vote(0, bytes.concat(new bytes(64), hex"1b")),
            abi.encodeWithSelector(Signatures.Unrecoverable.selector)
        );
    }

    /// Nor is whoever was recovered before: a refusal leaves nothing behind.
    function test_aRefusalDoesNotCountForTheOneBefore() public {
        uint64[] memory seats = new uint64[](2);
        (seats[0], seats[1]) = (1, 1);
        uint256[] memory twice = new uint256[](2);
        (twice[0], twice[1]) = (keys[0], keys[0]);
        committee = committeeOf(twice, seats);
        validators = validatorsHashOf(committee);
        client = clientOf(validators);
        Header memory header = following();
        refuse(
            header,
            bytes.concat(
                vote(0, sign(keys[0], precommitHashOf(header, 0))),
                vote(1, bytes.concat(new bytes(64), hex"1b"))
            ),
            abi.encodeWithSelector(Signatures.Unrecoverable.selector)
        );
    }

    function test_theCommitteeChangesWithTheHeaderThatSaysSo() public {
        uint256[] memory newKeys = keysFrom(500, 7);
        bytes memory newCommittee = committeeOf(newKeys);
        bytes32 newValidators = validatorsHashOf(newCommittee);

        // Its successor cannot post before its last header is posted.
        Header memory later = following();
        later.height = 6;
        later.time += 6000;
        (later.validatorsHash, later.nextValidatorsHash) = (newValidators, newValidators);
        bytes memory call = abi.encodeCall(
            LightClient.post, (encode(later), 0, newCommittee, certify(later, 0, newKeys, 5))
        );
        refused(
            address(client),
            call,
            abi.encodeWithSelector(LightClient.WrongValidators.selector, newValidators, validators)
        );

        Header memory last = following();
        last.height = 5;
        last.nextValidatorsHash = newValidators;
        post(last);
        vm.assertEq(client.next(), newValidators);

        // From there on the old one is nobody.
        Header memory again = following();
        refuse(
            again,
            abi.encodeWithSelector(LightClient.WrongValidators.selector, validators, newValidators)
        );
        (bool taken,) = address(client).call(call);
        vm.assertTrue(taken);
    }

    function test_aRootIsStoredIfItIsAnother() public {
        vm.assertEq(client.root(0), bytes32(0));
        post(following());
        post(following());
        (,,,, uint48 stored) = client.head();
        vm.assertEq(stored, 1);
        vm.assertEq(client.root(0), keccak256("withdrawals"));
        vm.assertEq(client.root(1), bytes32(0));
        Header memory header = following();
        header.withdrawalsRoot = keccak256("more");
        post(header);
        post(following());
        (,,,, stored) = client.head();
        vm.assertEq(stored, 3);
        vm.assertEq(client.root(1), keccak256("more"));
        vm.assertEq(client.root(2), keccak256("withdrawals"));
    }

    function test_theRingKeepsTheLast1024Roots() public {
        Header memory header;
        for (uint256 i = 0; i < 1030; i++) {
            header = following();
            header.time -= 990;
            header.withdrawalsRoot = bytes32(i + 1);
            post(header);
        }
        for (uint256 place = 0; place < 1024; place++) {
            uint256 i = place < 6 ? 1024 + place : place;
            vm.assertEq(client.root(place), bytes32(i + 1));
        }
        vm.expectRevert(abi.encodeWithSelector(LightClient.NoSuchPlace.selector, 1024));
        client.root(1024);
    }

    /// Writes another word at a place in calldata.
    function _set(bytes memory data, uint256 place, uint256 before, uint256 word) private pure {
        uint256 found;
        assembly ("memory-safe") {
            found := mload(add(add(data, 32), place))
            mstore(add(add(data, 32), place), word)
        }
        vm.assertEq(found, before);
    }
}
