// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "../src/Inbox.sol";
import {LightClient} from "../src/LightClient.sol";
import {Vault} from "../src/Vault.sol";
import {LightClientMock} from "./Mocks.sol";
import {Test} from "./Test.sol";
import {vm} from "./Vm.sol";

/// One test per rule of spec/ethereum.md, Inbox.
contract InboxTest is Test {
    event Forced(
        uint64 indexed namespace,
        uint64 indexed index,
        address indexed sender,
        uint256 fee,
        bytes data
    );
    event FallbackAnnounced(uint64 message);
    event FallbackActivated(uint64 height, uint64 origin);

    uint64 internal constant STALL_BLOCKS = 100;
    uint64 internal constant OVERDUE = 50;
    uint64 internal constant GRACE = 20;
    uint64 internal constant STALL = type(uint64).max;
    /// L1 block and time (s) at which the network was seen last.
    uint256 internal constant SEEN = 5000;
    uint256 internal constant SEEN_AT = 1_790_000_000;

    LightClientMock internal client;
    Vault internal vault;
    Inbox internal inbox;

    function setUp() public {
        client = new LightClientMock();
        vault = new Vault(LightClient(address(client)));
        inbox =
            new Inbox(vault, LightClient(address(client)), 1000, 7, STALL_BLOCKS, OVERDUE, GRACE);
        _l1(SEEN);
        client.post(10, SEEN_AT * 1000, SEEN - 64);
        vm.deal(address(this), 1000 ether);
    }

    function test_parameters() public view {
        vm.assertEq(address(inbox.vault()), address(vault));
        vm.assertEq(address(inbox.lightClient()), address(client));
        vm.assertEq(inbox.feePerMessage(), 1000);
        vm.assertEq(inbox.feePerByte(), 7);
        vm.assertEq(inbox.stall(), STALL_BLOCKS);
        vm.assertEq(inbox.overdue(), OVERDUE);
        vm.assertEq(inbox.grace(), GRACE);
        vm.assertEq(inbox.STALL(), STALL);
        vm.assertEq(inbox.count(), 0);
        vm.assertEq(inbox.rolling(), bytes32(0));
    }

    // Messages

    function test_force() public {
        vm.expectEmit(address(inbox));
        emit Forced(7001, 0, address(this), 1021, hex"010203");
        inbox.force{value: 1021}(7001, hex"010203");
        bytes32 first = keccak256(
            bytes.concat(
                bytes32(0),
                bytes8(uint64(7001)),
                bytes8(0),
                bytes20(address(this)),
                bytes8(uint64(SEEN_AT)),
                keccak256(hex"010203")
            )
        );
        vm.assertEq(inbox.rolling(), first);

        _l1(SEEN + 3);
        vm.deal(address(0xa11ce), 1007);
        vm.prank(address(0xa11ce));
        inbox.force{value: 1007}(0, hex"ff");
        vm.assertEq(
            inbox.rolling(),
            keccak256(
                bytes.concat(
                    first,
                    bytes8(0),
                    bytes8(uint64(1)),
                    bytes20(address(0xa11ce)),
                    bytes8(uint64(SEEN_AT + 36)),
                    keccak256(hex"ff")
                )
            )
        );
        vm.assertEq(inbox.count(), 2);
        Inbox.Message memory kept = inbox.message(0);
        vm.assertEq(kept.blockNumber, SEEN);
        vm.assertEq(kept.timestamp, SEEN_AT);
        vm.assertEq(kept.namespace, 7001);
        kept = inbox.message(1);
        vm.assertEq(kept.blockNumber, SEEN + 3);
        vm.assertEq(kept.timestamp, SEEN_AT + 36);
        vm.assertEq(kept.namespace, 0);
        // Fees back balances.
        vm.assertEq(address(vault).balance, 2028);
        vm.assertEq(address(inbox).balance, 0);
    }

    function test_theFeeIsExact() public {
        vm.assertEq(inbox.feeOf(0), 1000);
        vm.assertEq(inbox.feeOf(3), 1021);
        for (uint256 sent = 1020; sent <= 1022; sent++) {
            (bool taken, bytes memory reason) =
                address(inbox).call{value: sent}(abi.encodeCall(Inbox.force, (7001, hex"010203")));
            vm.assertTrue(taken == (sent == 1021));
            if (!taken) {
                vm.assertEq(reason, abi.encodeWithSelector(Inbox.WrongFee.selector, sent, 1021));
            }
        }
    }

    function test_messageLength() public {
        _refuse("", 0, abi.encodeWithSelector(Inbox.MessageLength.selector, 0));
        _refuse(new bytes(16_385), 0, abi.encodeWithSelector(Inbox.MessageLength.selector, 16_385));
        _force(1);
        _force(16_383);
        _force(16_384);
    }

    function test_bytesPerBlock() public {
        _force(16_384);
        _force(16_384);
        _force(16_384);
        _force(16_383);
        _refuse(new bytes(2), 1014, abi.encodeWithSelector(Inbox.BlockFull.selector, 65_537));
        _force(1);
        _refuse(new bytes(1), 1007, abi.encodeWithSelector(Inbox.BlockFull.selector, 65_537));
        _l1(SEEN + 1);
        for (uint256 i = 0; i < 4; i++) {
            _force(16_384);
        }
        _refuse(new bytes(1), 1007, abi.encodeWithSelector(Inbox.BlockFull.selector, 65_537));
        vm.assertEq(inbox.count(), 9);
    }

    function test_takesNothingElse() public {
        (bool taken,) = address(inbox).call{value: 1}("");
        vm.assertFalse(taken);
    }

    function test_messagesThatAreNot() public {
        vm.expectRevert(abi.encodeWithSelector(Inbox.NoSuchMessage.selector, 0, 0));
        inbox.message(0);
        _force(1);
        inbox.message(0);
        vm.expectRevert(abi.encodeWithSelector(Inbox.NoSuchMessage.selector, 1, 1));
        inbox.message(1);
        vm.expectRevert(abi.encodeWithSelector(Inbox.NoSuchMessage.selector, 1, 1));
        inbox.announce(1);
    }

    // Announcing

    function test_aStallCanBeAnnounced() public {
        _l1(SEEN + STALL_BLOCKS);
        vm.expectRevert(
            abi.encodeWithSelector(Inbox.NotStalled.selector, SEEN, SEEN + STALL_BLOCKS)
        );
        inbox.announce(STALL);
        _l1(SEEN + STALL_BLOCKS + 1);
        vm.expectEmit(address(inbox));
        emit FallbackAnnounced(STALL);
        inbox.announce(STALL);
        (uint64 message, uint48 blockNumber, uint48 timestamp, uint64 height, Inbox.Phase phase) =
            inbox.announcement();
        vm.assertEq(message, STALL);
        vm.assertEq(blockNumber, SEEN + STALL_BLOCKS + 1);
        vm.assertEq(timestamp, vm.getBlockTimestamp());
        vm.assertEq(height, 0);
        vm.assertTrue(phase == Inbox.Phase.Announced);
        vm.assertTrue(inbox.isAnnounced());
        vm.assertFalse(inbox.isFallback());
    }

    function test_anOverdueMessageCanBeAnnounced() public {
        _force(1);
        for (uint256 i = 1; i <= OVERDUE; i++) {
            // Meanwhile the network goes on, but does not take in the message.
            _l1(SEEN + i);
            client.post(10 + i, vm.getBlockTimestamp() * 1000, SEEN - 1);
        }
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotOverdue.selector, SEEN + OVERDUE));
        inbox.announce(0);
        _l1(SEEN + OVERDUE + 1);
        vm.expectEmit(address(inbox));
        emit FallbackAnnounced(0);
        inbox.announce(0);
        vm.assertTrue(inbox.isAnnounced());
    }

    function test_aMessageThatIsTakenInIsNotOverdue() public {
        _force(1);
        _l1(SEEN + OVERDUE + 1);
        for (uint256 origin = SEEN; origin <= SEEN + 1; origin++) {
            client.post(11, vm.getBlockTimestamp() * 1000, origin);
            vm.expectRevert(abi.encodeWithSelector(Inbox.TakenIn.selector, SEEN, origin));
            inbox.announce(0);
        }
        client.post(11, vm.getBlockTimestamp() * 1000, SEEN - 1);
        inbox.announce(0);
    }

    function test_oneAnnouncementAtATime() public {
        _force(1);
        _l1(SEEN + STALL_BLOCKS + 1);
        inbox.announce(STALL);
        vm.expectRevert(abi.encodeWithSelector(Inbox.AlreadyAnnounced.selector));
        inbox.announce(STALL);
        vm.expectRevert(abi.encodeWithSelector(Inbox.AlreadyAnnounced.selector));
        inbox.announce(0);
    }

    // Void announcements

    function test_aStallIsOverWithAHeaderOfItsTime() public {
        _l1(SEEN + STALL_BLOCKS + 1);
        inbox.announce(STALL);
        uint256 announcedAt = vm.getBlockTimestamp() * 1000;
        // A header from before does not show that the network answers.
        client.post(11, announcedAt - 1, SEEN);
        vm.assertTrue(inbox.isAnnounced());
        _l1(vm.getBlockNumber() + GRACE);
        uint256 before = vm.snapshotState();
        inbox.activate();
        vm.assertTrue(inbox.isFallback());
        vm.revertToState(before);
        client.post(12, announcedAt, SEEN);
        vm.assertFalse(inbox.isAnnounced());
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotAnnounced.selector));
        inbox.activate();
    }

    function test_aMessageIsAnsweredByItsBlock() public {
        _force(1);
        _l1(SEEN + OVERDUE + 1);
        client.post(11, vm.getBlockTimestamp() * 1000, SEEN - 2);
        inbox.announce(0);
        // Headers alone are no answer.
        client.post(12, vm.getBlockTimestamp() * 1000 + 1, SEEN - 1);
        vm.assertTrue(inbox.isAnnounced());
        _l1(vm.getBlockNumber() + GRACE);
        client.post(13, vm.getBlockTimestamp() * 1000, SEEN);
        vm.assertFalse(inbox.isAnnounced());
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotAnnounced.selector));
        inbox.activate();
    }

    function test_aVoidAnnouncementMakesRoom() public {
        _l1(SEEN + STALL_BLOCKS + 1);
        inbox.announce(STALL);
        client.post(11, vm.getBlockTimestamp() * 1000, SEEN);
        _l1(vm.getBlockNumber() + STALL_BLOCKS);
        vm.expectRevert();
        inbox.announce(STALL);
        _l1(vm.getBlockNumber() + 1);
        inbox.announce(STALL);
        // The grace begins anew.
        (, uint48 blockNumber,,,) = inbox.announcement();
        vm.assertEq(blockNumber, vm.getBlockNumber());
    }

    // Activating

    function test_activateAfterTheGrace() public {
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotAnnounced.selector));
        inbox.activate();
        uint256 from = SEEN + STALL_BLOCKS + 1 + GRACE;
        _l1(from - GRACE);
        inbox.announce(STALL);
        _l1(from - 1);
        vm.expectRevert(abi.encodeWithSelector(Inbox.TooEarly.selector, from));
        inbox.activate();
        _l1(from);
        vm.expectEmit(address(inbox));
        emit FallbackActivated(10, uint64(SEEN - 64));
        inbox.activate();
        vm.assertTrue(inbox.isFallback());
        vm.assertFalse(inbox.isAnnounced());
        (,,, uint64 height, Inbox.Phase phase) = inbox.announcement();
        vm.assertEq(height, 10);
        vm.assertTrue(phase == Inbox.Phase.Activated);
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotAnnounced.selector));
        inbox.activate();
    }

    function test_nothingIsAnnouncedDuringFallback() public {
        _force(1);
        _l1(SEEN + STALL_BLOCKS + 1);
        inbox.announce(STALL);
        _l1(vm.getBlockNumber() + GRACE);
        inbox.activate();
        vm.expectRevert(abi.encodeWithSelector(Inbox.AlreadyFallback.selector));
        inbox.announce(STALL);
        vm.expectRevert(abi.encodeWithSelector(Inbox.AlreadyFallback.selector));
        inbox.announce(0);
    }

    function test_theNextHeaderEndsIt() public {
        _force(1);
        _l1(SEEN + STALL_BLOCKS + 1);
        inbox.announce(STALL);
        _l1(vm.getBlockNumber() + GRACE);
        inbox.activate();
        client.post(11, SEEN_AT * 1000 + 1, SEEN - 64);
        vm.assertFalse(inbox.isFallback());
        vm.assertFalse(inbox.isAnnounced());
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotAnnounced.selector));
        inbox.activate();
        // What is still overdue can be announced at once, and takes its grace again.
        inbox.announce(0);
        vm.expectRevert(
            abi.encodeWithSelector(Inbox.TooEarly.selector, vm.getBlockNumber() + GRACE)
        );
        inbox.activate();
        _l1(vm.getBlockNumber() + GRACE);
        inbox.activate();
        vm.assertTrue(inbox.isFallback());
    }

    function test_forcingGoesOnDuringFallback() public {
        _l1(SEEN + STALL_BLOCKS + 1);
        inbox.announce(STALL);
        _l1(vm.getBlockNumber() + GRACE);
        inbox.activate();
        _force(100);
        vm.assertTrue(inbox.isFallback());
        vm.assertEq(inbox.count(), 1);
    }

    function testFuzz_rollingHash(uint64 namespace, address sender, bytes memory data, uint64 time)
        public
    {
        vm.assume(data.length > 0 && data.length <= 16_384);
        vm.warp(time);
        bytes32 before = keccak256("before");
        vm.store(address(inbox), 0, before);
        vm.assertEq(inbox.rolling(), before);
        uint256 fee = inbox.feeOf(data.length);
        vm.deal(sender, fee);
        vm.prank(sender);
        inbox.force{value: fee}(namespace, data);
        vm.assertEq(
            inbox.rolling(),
            keccak256(
                bytes.concat(
                    before,
                    bytes8(namespace),
                    bytes8(0),
                    bytes20(sender),
                    bytes8(time),
                    keccak256(data)
                )
            )
        );
    }

    function _l1(uint256 number) private {
        vm.roll(number);
        vm.warp(SEEN_AT + (number - SEEN) * 12);
    }

    function _force(uint256 length) private {
        inbox.force{value: 1000 + 7 * length}(7001, new bytes(length));
    }

    function _refuse(bytes memory data, uint256 fee, bytes memory reason) private {
        (bool taken, bytes memory reverted) =
            address(inbox).call{value: fee}(abi.encodeCall(Inbox.force, (7001, data)));
        vm.assertFalse(taken);
        vm.assertEq(reverted, reason);
    }
}
