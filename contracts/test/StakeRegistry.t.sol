// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Evidence} from "../src/Evidence.sol";
import {Signatures} from "../src/Signatures.sol";
import {StakeRegistry} from "../src/StakeRegistry.sol";
import {Network} from "./Network.sol";
import {Test} from "./Test.sol";
import {vm} from "./Vm.sol";

/// One test per rule of spec/ethereum.md, Stake registry.
contract StakeRegistryTest is Test, Network {
    event StakeChanged(address indexed validator, uint256 stake);
    event Slashed(address indexed validator, address indexed reporter, uint256 amount);

    uint64 internal constant CHAIN = 1477;
    uint256 internal constant LEAST = 32 ether;
    uint48 internal constant DELAY = 14 days;
    uint256 internal constant START = 1_790_000_000;
    uint256 internal constant KEY = 100;
    address internal constant OWNER = address(0xa11ce);
    address internal constant REPORTER = address(0xbeef);

    StakeRegistry internal registry;
    address internal validator;

    function setUp() public {
        vm.warp(START);
        registry = new StakeRegistry(CHAIN, LEAST, DELAY);
        validator = vm.addr(KEY);
        vm.deal(OWNER, 1000 ether);
    }

    function test_parameters() public view {
        vm.assertEq(registry.chainId(), CHAIN);
        vm.assertEq(registry.leastBond(), LEAST);
        vm.assertEq(registry.exitDelay(), DELAY);
    }

    // Bonding

    function test_aBondCounts() public {
        bytes memory possession = possess(KEY, CHAIN, address(registry), OWNER);
        vm.expectEmit(address(registry));
        emit StakeChanged(validator, LEAST);
        vm.prank(OWNER);
        registry.bond{value: LEAST}(validator, possession);
        vm.assertEq(registry.stakeOf(validator), LEAST);
        vm.assertEq(address(registry).balance, LEAST);
        (address owner, uint88 amount, StakeRegistry.Status status, uint64 since) =
            registry.bonds(validator);
        vm.assertEq(owner, OWNER);
        vm.assertEq(amount, LEAST);
        vm.assertTrue(status == StakeRegistry.Status.Bonded);
        vm.assertEq(since, 0);
    }

    function test_theLeastBond() public {
        bytes memory call = _bonding(KEY, OWNER);
        _refusedFrom(
            OWNER,
            LEAST - 1,
            call,
            abi.encodeWithSelector(StakeRegistry.BondTooSmall.selector, LEAST - 1, LEAST)
        );
        _refusedFrom(
            OWNER, 0, call, abi.encodeWithSelector(StakeRegistry.BondTooSmall.selector, 0, LEAST)
        );
        _from(OWNER, LEAST + 1, call);
        vm.assertEq(registry.stakeOf(validator), LEAST + 1);
    }

    function test_theLargestBond() public {
        vm.deal(OWNER, 1 << 90);
        bytes memory call = _bonding(KEY, OWNER);
        _refusedFrom(
            OWNER,
            1 << 88,
            call,
            abi.encodeWithSelector(StakeRegistry.BondTooLarge.selector, 1 << 88)
        );
        _from(OWNER, (1 << 88) - 1, call);
        _refusedFrom(
            OWNER,
            1,
            abi.encodeCall(StakeRegistry.topUp, (validator)),
            abi.encodeWithSelector(StakeRegistry.BondTooLarge.selector, 1 << 88)
        );
        vm.assertEq(registry.stakeOf(validator), (1 << 88) - 1);
    }

    function test_onlyOncePerValidator() public {
        _bond();
        _refusedFrom(
            OWNER,
            LEAST,
            _bonding(KEY, OWNER),
            abi.encodeWithSelector(
                StakeRegistry.WrongStatus.selector, validator, StakeRegistry.Status.Bonded
            )
        );
        _exit();
        _refusedFrom(
            OWNER,
            LEAST,
            _bonding(KEY, OWNER),
            abi.encodeWithSelector(
                StakeRegistry.WrongStatus.selector, validator, StakeRegistry.Status.Exiting
            )
        );
    }

    /// Nobody bonds another's key, and nobody uses a possession made out to another.
    function test_possession() public {
        bytes memory stolen = possess(KEY, CHAIN, address(registry), OWNER);
        address thief = address(0xbad);
        vm.deal(thief, LEAST);
        vm.prank(thief);
        (bool taken, bytes memory reason) = address(registry).call{value: LEAST}(
            abi.encodeCall(StakeRegistry.bond, (validator, stolen))
        );
        vm.assertFalse(taken);
        vm.assertEq(bytes32(selectorOf(reason)), bytes32(StakeRegistry.NotPossessed.selector));

        bytes[4] memory wrong = [
            possess(KEY + 1, CHAIN, address(registry), OWNER),
            possess(KEY, CHAIN + 1, address(registry), OWNER),
            possess(KEY, CHAIN, address(this), OWNER),
            possess(KEY, CHAIN, address(registry), address(this))
        ];
        for (uint256 i = 0; i < 4; i++) {
            vm.prank(OWNER);
            (taken, reason) = address(registry).call{value: LEAST}(
                abi.encodeCall(StakeRegistry.bond, (validator, wrong[i]))
            );
            vm.assertFalse(taken);
            vm.assertEq(bytes32(selectorOf(reason)), bytes32(StakeRegistry.NotPossessed.selector));
        }
    }

    function test_possessionIsInTheOneForm() public {
        bytes memory fine = possess(KEY, CHAIN, address(registry), OWNER);
        bytes memory twin = twinOf(fine);
        (, bytes32 s) = abi.decode(twin, (bytes32, bytes32));
        bytes memory v29 = bytes.concat(fine);
        v29[64] = 0x1d;
        _refuseBond(twin, abi.encodeWithSelector(Signatures.HighS.selector, s));
        _refuseBond(v29, abi.encodeWithSelector(Signatures.RecoveryByte.selector, 29));
        _refuseBond(
            bytes.concat(fine, hex"00"),
            abi.encodeWithSelector(Signatures.SignatureLength.selector, 66)
        );
        _refuseBond("", abi.encodeWithSelector(Signatures.SignatureLength.selector, 0));
        _refuseBond(
            bytes.concat(new bytes(64), hex"1b"),
            abi.encodeWithSelector(Signatures.Unrecoverable.selector)
        );
    }

    /// What ecrecover says of nothing is not the zero address' consent.
    function test_nobodyCannotBeBonded() public {
        bytes memory call =
            abi.encodeCall(StakeRegistry.bond, (address(0), bytes.concat(new bytes(64), hex"1b")));
        _refusedFrom(OWNER, LEAST, call, abi.encodeWithSelector(Signatures.Unrecoverable.selector));
    }

    function test_possessionHashIsTheSpecifications() public view {
        bytes32 body = keccak256(bytes.concat(bytes20(address(registry)), bytes20(OWNER)));
        vm.assertEq(registry.possessionHash(OWNER), signingHash("bond", CHAIN, "", body));
    }

    // Topping up

    function test_topUp() public {
        _bond();
        vm.expectEmit(address(registry));
        emit StakeChanged(validator, LEAST + 5);
        vm.prank(OWNER);
        registry.topUp{value: 5}(validator);
        vm.assertEq(registry.stakeOf(validator), LEAST + 5);
    }

    function test_topUpIsRefused() public {
        bytes memory call = abi.encodeCall(StakeRegistry.topUp, (validator));
        _refusedFrom(OWNER, 5, call, _wrongStatus(StakeRegistry.Status.None));
        _bond();
        _refusedFrom(OWNER, 0, call, abi.encodeWithSelector(StakeRegistry.NothingSent.selector));
        vm.deal(REPORTER, 5);
        _refusedFrom(
            REPORTER,
            5,
            call,
            abi.encodeWithSelector(StakeRegistry.NotOwner.selector, REPORTER, OWNER)
        );
        _exit();
        _refusedFrom(OWNER, 5, call, _wrongStatus(StakeRegistry.Status.Exiting));
    }

    // Leaving

    function test_exitStopsCountingAtOnce() public {
        _bond();
        vm.expectEmit(address(registry));
        emit StakeChanged(validator, 0);
        _exit();
        vm.assertEq(registry.stakeOf(validator), 0);
        (address owner, uint88 amount, StakeRegistry.Status status, uint64 since) =
            registry.bonds(validator);
        vm.assertEq(owner, OWNER);
        vm.assertEq(amount, LEAST);
        vm.assertTrue(status == StakeRegistry.Status.Exiting);
        vm.assertEq(since, START + DELAY);
    }

    function test_exitIsRefused() public {
        bytes memory call = abi.encodeCall(StakeRegistry.exit, (validator));
        _refusedFrom(OWNER, 0, call, _wrongStatus(StakeRegistry.Status.None));
        _bond();
        _refusedFrom(
            REPORTER,
            0,
            call,
            abi.encodeWithSelector(StakeRegistry.NotOwner.selector, REPORTER, OWNER)
        );
        // The validator's key alone does not end its service.
        _refusedFrom(
            validator,
            0,
            call,
            abi.encodeWithSelector(StakeRegistry.NotOwner.selector, validator, OWNER)
        );
        _exit();
        _refusedFrom(OWNER, 0, call, _wrongStatus(StakeRegistry.Status.Exiting));
    }

    function test_withdrawAfterTheDelay() public {
        _bond();
        _exit();
        vm.warp(START + DELAY - 1);
        _refusedFrom(
            OWNER,
            0,
            abi.encodeCall(StakeRegistry.withdraw, (validator)),
            abi.encodeWithSelector(StakeRegistry.TooEarly.selector, START + DELAY)
        );
        vm.warp(START + DELAY);
        // Anybody may call; the owner is paid.
        uint256 before = OWNER.balance;
        vm.prank(REPORTER);
        registry.withdraw(validator);
        vm.assertEq(OWNER.balance, before + LEAST);
        vm.assertEq(address(registry).balance, 0);
        (address owner, uint88 amount, StakeRegistry.Status status, uint64 since) =
            registry.bonds(validator);
        vm.assertTrue(owner == address(0) && amount == 0 && since == 0);
        vm.assertTrue(status == StakeRegistry.Status.None);
    }

    function test_withdrawIsRefused() public {
        bytes memory call = abi.encodeCall(StakeRegistry.withdraw, (validator));
        _refusedFrom(OWNER, 0, call, _wrongStatus(StakeRegistry.Status.None));
        _bond();
        vm.warp(START + 100 * DELAY);
        _refusedFrom(OWNER, 0, call, _wrongStatus(StakeRegistry.Status.Bonded));
        _exit();
        vm.warp(vm.getBlockTimestamp() + DELAY);
        registry.withdraw(validator);
        _refusedFrom(OWNER, 0, call, _wrongStatus(StakeRegistry.Status.None));
    }

    function test_aWithdrawnValidatorMayBondAgain() public {
        _bond();
        _exit();
        vm.warp(START + DELAY);
        registry.withdraw(validator);
        _bond();
        vm.assertEq(registry.stakeOf(validator), LEAST);
    }

    // Slashing

    function test_slashEveryKind() public {
        uint8[5] memory kinds = [2, 3, 4, 5, 5];
        bytes[5] memory slots = _slots();
        for (uint256 i = 0; i < 5; i++) {
            uint256 key = KEY + i;
            _from(OWNER, LEAST + i, _bonding(key, OWNER));
            uint256 before = REPORTER.balance;
            bytes memory call = _evidence(key, kinds[i], slots[i]);
            vm.expectEmit(address(registry));
            emit StakeChanged(vm.addr(key), 0);
            vm.expectEmit(address(registry));
            emit Slashed(vm.addr(key), REPORTER, LEAST + i);
            _from(REPORTER, 0, call);
            vm.assertEq(REPORTER.balance - before, (LEAST + i) / 20);
            vm.assertEq(registry.stakeOf(vm.addr(key)), 0);
        }
        uint256 kept = 5 * LEAST + 10 - 5 * (LEAST / 20);
        vm.assertEq(address(registry).balance, kept);
    }

    function test_slashedForGood() public {
        _bond();
        bytes memory call = _evidence(KEY, 5, voteSlot(PRECOMMIT, 7, 0));
        _from(REPORTER, 0, call);
        bytes memory slashed = _wrongStatus(StakeRegistry.Status.Slashed);
        _refusedFrom(REPORTER, 0, call, slashed);
        _refusedFrom(REPORTER, 0, _evidence(KEY, 5, voteSlot(PRECOMMIT, 8, 0)), slashed);
        _refusedFrom(OWNER, LEAST, _bonding(KEY, OWNER), slashed);
        _refusedFrom(OWNER, 5, abi.encodeCall(StakeRegistry.topUp, (validator)), slashed);
        _refusedFrom(OWNER, 0, abi.encodeCall(StakeRegistry.exit, (validator)), slashed);
        vm.warp(START + 100 * DELAY);
        _refusedFrom(OWNER, 0, abi.encodeCall(StakeRegistry.withdraw, (validator)), slashed);
    }

    function test_anExitingBondIsSlashedUntilItIsWithdrawn() public {
        bytes memory call = _evidence(KEY, 5, voteSlot(PRECOMMIT, 7, 0));
        _refusedFrom(REPORTER, 0, call, _wrongStatus(StakeRegistry.Status.None));
        _bond();
        _exit();
        // Who does not take the bond out leaves it at stake.
        vm.warp(START + 2 * DELAY);
        uint256 before = vm.snapshotState();
        _from(REPORTER, 0, call);
        vm.assertEq(REPORTER.balance, LEAST / 20);
        _refusedFrom(
            OWNER,
            0,
            abi.encodeCall(StakeRegistry.withdraw, (validator)),
            _wrongStatus(StakeRegistry.Status.Slashed)
        );
        vm.revertToState(before);
        registry.withdraw(validator);
        _refusedFrom(REPORTER, 0, call, _wrongStatus(StakeRegistry.Status.None));
    }

    /// A fault does not lapse: whoever comes back with the same key comes back guilty.
    function test_oldEvidenceCountsAfterBondingAgain() public {
        _bond();
        _exit();
        vm.warp(START + DELAY);
        registry.withdraw(validator);
        _bond();
        _from(REPORTER, 0, _evidence(KEY, 5, voteSlot(PRECOMMIT, 7, 0)));
        vm.assertEq(registry.stakeOf(validator), 0);
    }

    function test_onlyTheFourKinds() public {
        _bond();
        uint8[5] memory kinds = [0, 1, 6, 7, 255];
        for (uint256 i = 0; i < 5; i++) {
            bytes memory call = abi.encodeCall(
                StakeRegistry.slash,
                (kinds[i], "", bytes32(uint256(1)), "", bytes32(uint256(2)), "")
            );
            _refusedFrom(
                REPORTER, 0, call, abi.encodeWithSelector(Evidence.NotSlashable.selector, kinds[i])
            );
        }
    }

    /// Otherwise two messages of different slots could be read as of one.
    function test_slotsHaveExactlyTheirForm() public {
        _bond();
        uint8[5] memory kinds = [2, 3, 4, 5, 5];
        bytes[5] memory slots = _slots();
        for (uint256 i = 0; i < 5; i++) {
            bytes memory longer = bytes.concat(slots[i], hex"00");
            bytes memory shorter = bytes.concat(slots[i]);
            assembly ("memory-safe") {
                mstore(shorter, sub(mload(shorter), 1))
            }
            _refuseSlot(kinds[i], longer);
            _refuseSlot(kinds[i], shorter);
            _refuseSlot(kinds[i], "");
            for (uint256 first = 0; first < 256; first++) {
                bytes memory changed = bytes.concat(slots[i]);
                changed[0] = bytes1(uint8(first));
                bool isSlot = kinds[i] < 4 || (kinds[i] == 4 && first == 0)
                    || (kinds[i] == 5 && (first == 1 || first == 2));
                if (!isSlot) _refuseSlot(kinds[i], changed);
            }
        }
    }

    function test_bodiesAscend() public {
        _bond();
        bytes memory slot = voteSlot(PRECOMMIT, 7, 0);
        (bytes32 a, bytes32 b) = (bytes32(uint256(1)), bytes32(uint256(2)));
        bytes memory signatureA = sign(KEY, signingHash("vote", CHAIN, slot, a));
        bytes memory signatureB = sign(KEY, signingHash("vote", CHAIN, slot, b));
        _refusedFrom(
            REPORTER,
            0,
            abi.encodeCall(StakeRegistry.slash, (5, slot, b, signatureB, a, signatureA)),
            abi.encodeWithSelector(Evidence.NotAscending.selector, b, a)
        );
        _refusedFrom(
            REPORTER,
            0,
            abi.encodeCall(StakeRegistry.slash, (5, slot, a, signatureA, a, signatureA)),
            abi.encodeWithSelector(Evidence.NotAscending.selector, a, a)
        );
        _from(
            REPORTER,
            0,
            abi.encodeCall(StakeRegistry.slash, (5, slot, a, signatureA, b, signatureB))
        );
    }

    /// Nil is a body like any other.
    function test_aBlockAndNilAreAFault() public {
        _bond();
        bytes memory slot = voteSlot(PREVOTE, 7, 0);
        bytes32 b = keccak256("block");
        _from(
            REPORTER,
            0,
            abi.encodeCall(
                StakeRegistry.slash,
                (
                    5,
                    slot,
                    bytes32(0),
                    sign(KEY, signingHash("vote", CHAIN, slot, 0)),
                    b,
                    sign(KEY, signingHash("vote", CHAIN, slot, b))
                )
            )
        );
        vm.assertEq(registry.stakeOf(validator), 0);
    }

    function test_bothAreOfOneValidatorAndOneSlotAndThisChain() public {
        _bond();
        bytes memory slot = voteSlot(PRECOMMIT, 7, 0);
        (bytes32 a, bytes32 b) = (bytes32(uint256(1)), bytes32(uint256(2)));
        bytes memory signatureA = sign(KEY, signingHash("vote", CHAIN, slot, a));
        bytes[5] memory wrong = [
            sign(KEY + 1, signingHash("vote", CHAIN, slot, b)),
            sign(KEY, signingHash("vote", CHAIN + 1, slot, b)),
            sign(KEY, signingHash("vote", CHAIN, voteSlot(PRECOMMIT, 7, 1), b)),
            sign(KEY, signingHash("vote", CHAIN, voteSlot(PREVOTE, 7, 0), b)),
            sign(KEY, signingHash("proposal", CHAIN, slot, b))
        ];
        for (uint256 i = 0; i < 5; i++) {
            vm.prank(REPORTER);
            (bool taken, bytes memory reason) = address(registry)
                .call(abi.encodeCall(StakeRegistry.slash, (5, slot, a, signatureA, b, wrong[i])));
            vm.assertFalse(taken);
            vm.assertEq(bytes32(selectorOf(reason)), bytes32(Evidence.TwoSigners.selector));
        }
    }

    function test_signaturesOfEvidenceAreInTheOneForm() public {
        _bond();
        bytes memory slot = voteSlot(PRECOMMIT, 7, 0);
        (bytes32 a, bytes32 b) = (bytes32(uint256(1)), bytes32(uint256(2)));
        bytes memory fineA = sign(KEY, signingHash("vote", CHAIN, slot, a));
        bytes memory fineB = sign(KEY, signingHash("vote", CHAIN, slot, b));
        (, bytes32 s) = abi.decode(twinOf(fineA), (bytes32, bytes32));
        _refusedFrom(
            REPORTER,
            0,
            abi.encodeCall(StakeRegistry.slash, (5, slot, a, twinOf(fineA), b, fineB)),
            abi.encodeWithSelector(Signatures.HighS.selector, s)
        );
        (, s) = abi.decode(twinOf(fineB), (bytes32, bytes32));
        _refusedFrom(
            REPORTER,
            0,
            abi.encodeCall(StakeRegistry.slash, (5, slot, a, fineA, b, twinOf(fineB))),
            abi.encodeWithSelector(Signatures.HighS.selector, s)
        );
    }

    /// Signatures of nobody are not the fault of whoever never bonded.
    function test_nobodyCannotBeSlashed() public {
        bytes memory nothing = bytes.concat(new bytes(64), hex"1b");
        _refusedFrom(
            REPORTER,
            0,
            abi.encodeCall(
                StakeRegistry.slash,
                (3, new bytes(8), bytes32(uint256(1)), nothing, bytes32(uint256(2)), nothing)
            ),
            abi.encodeWithSelector(Signatures.Unrecoverable.selector)
        );
    }

    function testFuzz_everyFlippedBitOfEvidenceIsRefused(uint256 bit, uint256 which) public {
        _bond();
        bytes memory slot = voteSlot(PRECOMMIT, 7, 0);
        bytes32[2] memory bodies = [keccak256("a"), keccak256("b")];
        if (bodies[0] > bodies[1]) (bodies[0], bodies[1]) = (bodies[1], bodies[0]);
        bytes[5] memory parts = [
            slot,
            bytes.concat(bodies[0]),
            sign(KEY, signingHash("vote", CHAIN, slot, bodies[0])),
            bytes.concat(bodies[1]),
            sign(KEY, signingHash("vote", CHAIN, slot, bodies[1]))
        ];
        which = bound(which, 0, 5);
        if (which < 5) {
            bit = bound(bit, 0, parts[which].length * 8 - 1);
            parts[which][bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        }
        (bool taken,) = address(registry)
            .call(
                abi.encodeCall(
                    StakeRegistry.slash,
                    (5, parts[0], bytes32(parts[1]), parts[2], bytes32(parts[3]), parts[4])
                )
            );
        vm.assertTrue(taken == (which == 5));
    }

    receive() external payable {}

    // What the tests above do again and again.

    function _bond() private {
        _from(OWNER, LEAST, _bonding(KEY, OWNER));
    }

    function _exit() private {
        vm.prank(OWNER);
        registry.exit(validator);
    }

    function _bonding(uint256 key, address owner) private view returns (bytes memory) {
        bytes memory possession = possess(key, CHAIN, address(registry), owner);
        return abi.encodeCall(StakeRegistry.bond, (vm.addr(key), possession));
    }

    function _wrongStatus(StakeRegistry.Status status) private view returns (bytes memory) {
        return abi.encodeWithSelector(StakeRegistry.WrongStatus.selector, validator, status);
    }

    function _slots() private pure returns (bytes[5] memory) {
        return [
            bytes(hex"00000003000000000000000c"),
            hex"0000000000000007",
            voteSlot(0, 7, 1),
            voteSlot(PREVOTE, 7, 1),
            voteSlot(PRECOMMIT, 7, 1)
        ];
    }

    function _kind(uint8 kind) private pure returns (string memory) {
        if (kind == 2) return "batch";
        if (kind == 3) return "observation";
        return kind == 4 ? "proposal" : "vote";
    }

    function _evidence(uint256 key, uint8 kind, bytes memory slot)
        private
        pure
        returns (bytes memory)
    {
        (bytes32 a, bytes32 b) = (bytes32(uint256(1)), bytes32(uint256(2)));
        return abi.encodeCall(
            StakeRegistry.slash,
            (
                kind,
                slot,
                a,
                sign(key, signingHash(_kind(kind), CHAIN, slot, a)),
                b,
                sign(key, signingHash(_kind(kind), CHAIN, slot, b))
            )
        );
    }

    function _refuseSlot(uint8 kind, bytes memory slot) private {
        _refusedFrom(
            REPORTER,
            0,
            _evidence(KEY, kind, slot),
            abi.encodeWithSelector(Evidence.NoSlot.selector, kind, slot)
        );
    }

    function _refuseBond(bytes memory possession, bytes memory reason) private {
        _refusedFrom(
            OWNER, LEAST, abi.encodeCall(StakeRegistry.bond, (validator, possession)), reason
        );
    }

    function _from(address sender, uint256 value, bytes memory call) private {
        vm.prank(sender);
        (bool taken, bytes memory reason) = address(registry).call{value: value}(call);
        if (!taken) {
            assembly ("memory-safe") {
                revert(add(reason, 32), mload(reason))
            }
        }
    }

    function _refusedFrom(address sender, uint256 value, bytes memory call, bytes memory reason)
        private
    {
        vm.prank(sender);
        (bool taken, bytes memory reverted) = address(registry).call{value: value}(call);
        vm.assertFalse(taken, "was not refused");
        vm.assertEq(reverted, reason);
    }
}
