// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "../src/Inbox.sol";
import {LightClient} from "../src/LightClient.sol";
import {StakeRegistry} from "../src/StakeRegistry.sol";
import {Vault} from "../src/Vault.sol";
import {NaiveTree} from "./NaiveTree.sol";
import {Header} from "./Network.sol";
import {Posting} from "./Posting.sol";
import {vm} from "./Vm.sol";

/// The four contracts together, deployed in the order of spec/ethereum.md.
contract SystemTest is Posting, NaiveTree {
    uint64 internal constant STALL = type(uint64).max;

    StakeRegistry internal registry;
    Vault internal vault;
    Inbox internal inbox;

    function setUp() public override {
        super.setUp();
        registry = new StakeRegistry(CHAIN, 1 ether, 14 days);
        vault = new Vault(client);
        inbox = new Inbox(vault, client, 1000, 7, 100, 50, 20);
        vm.deal(address(this), 100 ether);
    }

    function test_aDepositComesBackAsAWithdrawal() public {
        vault.deposit{value: 5 ether}(address(0xa11ce));
        bytes32[] memory leaves = new bytes32[](3);
        for (uint64 i = 0; i < 3; i++) {
            leaves[i] =
                leafOf(bytes.concat(bytes8(i), bytes20(address(0xb0b)), bytes16(uint128(1 ether))));
        }
        Header memory header = following();
        header.withdrawalsRoot = commitmentOf("weft/withdrawals/v1", rootOf(leaves), 3);
        post(header);
        vault.claim(2, address(0xb0b), 1 ether, 3, pathOf(leaves, 2), 0);
        vm.assertEq(address(0xb0b).balance, 1 ether);

        // Later roots commit to it as well, and do not pay it again; the old one still serves.
        bytes32[] memory more = new bytes32[](4);
        (more[0], more[1], more[2], more[3]) = (leaves[0], leaves[1], leaves[2], leaves[2]);
        header = following();
        header.withdrawalsRoot = commitmentOf("weft/withdrawals/v1", rootOf(more), 4);
        post(header);
        vm.expectRevert(abi.encodeWithSelector(Vault.AlreadyClaimed.selector, 2));
        vault.claim(2, address(0xb0b), 1 ether, 4, pathOf(more, 2), 1);
        vault.claim(1, address(0xb0b), 1 ether, 4, pathOf(more, 1), 1);
        vault.claim(0, address(0xb0b), 1 ether, 3, pathOf(leaves, 0), 0);
        vm.assertEq(address(0xb0b).balance, 3 ether);
    }

    function test_aMessageThatIsTakenInEndsTheMatter() public {
        inbox.force{value: 1007}(7001, hex"aa");
        _l1(1100 + 51);
        inbox.announce(0);
        Header memory header = following();
        header.origin = 1100;
        header.height = 9;
        post(header);
        _l1(1100 + 51 + 20);
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotAnnounced.selector));
        inbox.activate();
    }

    function test_fallbackLastsUntilAHeaderIsPosted() public {
        inbox.force{value: 1007}(7001, hex"aa");
        post(following());
        _l1(1100 + 101);
        inbox.announce(STALL);
        _l1(1100 + 121);
        // Still final, still posted: it is from before and does not void the announcement.
        post(following());
        inbox.activate();
        vm.assertTrue(inbox.isFallback());
        vm.assertEq(address(vault).balance, 1007);
        post(following());
        vm.assertFalse(inbox.isFallback());
    }

    /// After the trusting period nothing is posted any more: fallback, once on, stays.
    function test_aLightClientLeftAloneStaysInFallback() public {
        inbox.force{value: 1007}(7001, hex"aa");
        _l1(1100 + 101);
        inbox.announce(STALL);
        vm.roll(1100 + 121);
        vm.warp(GENESIS + TRUSTING + 1);
        inbox.activate();
        (bool taken,) = address(client).call(posting(following()));
        vm.assertFalse(taken);
        vm.assertTrue(inbox.isFallback());
    }

    /// Whoever signs two headers of a height in one round loses its bond by just these signatures.
    function test_votesOfTwoCertificatesAreEvidence() public {
        address guilty = vm.addr(keys[0]);
        bytes memory possession = possess(keys[0], CHAIN, address(registry), address(this));
        registry.bond{value: 2 ether}(guilty, possession);
        Header memory one = following();
        Header memory two = following();
        two.others = keccak256("something else");
        post(one);
        bytes32 a = idOf(encode(one));
        bytes32 b = idOf(encode(two));
        bytes memory signatureA = sign(keys[0], precommitHashOf(one, 0));
        bytes memory signatureB = sign(keys[0], precommitHashOf(two, 0));
        if (a > b) (a, b, signatureA, signatureB) = (b, a, signatureB, signatureA);
        bytes memory slot = voteSlot(PRECOMMIT, one.height, 0);
        vm.prank(address(0xbeef));
        registry.slash(5, slot, a, signatureA, b, signatureB);
        vm.assertEq(address(0xbeef).balance, 0.1 ether);
        vm.assertEq(address(registry).balance, 1.9 ether);
    }

    function _l1(uint256 number) private {
        vm.roll(number);
        vm.warp(GENESIS + 60 + (number - 1100) * 12);
    }
}
