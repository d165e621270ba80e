// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {LightClient} from "../src/LightClient.sol";
import {Payments} from "../src/Payments.sol";
import {StakeRegistry} from "../src/StakeRegistry.sol";
import {Vault} from "../src/Vault.sol";
import {Chatterbox, LightClientMock, Reenterer, Refuser} from "./Mocks.sol";
import {NaiveTree} from "./NaiveTree.sol";
import {Network} from "./Network.sol";
import {Test} from "./Test.sol";
import {vm} from "./Vm.sol";

/// Receivers that do more than receive.
contract ReentrancyTest is Test, NaiveTree, Network {
    uint64 internal constant CHAIN = 1477;
    uint256 internal constant BOND = 40 ether;
    uint256 internal constant KEY = 100;
    uint256 internal constant START = 1_790_000_000;

    LightClientMock internal client;
    Vault internal vault;
    StakeRegistry internal registry;
    Reenterer internal receiver;
    address internal validator;

    function setUp() public {
        vm.warp(START);
        client = new LightClientMock();
        vault = new Vault(LightClient(address(client)));
        registry = new StakeRegistry(CHAIN, 1 ether, 1 days);
        receiver = new Reenterer();
        validator = vm.addr(KEY);
        client.setRoot(0, commitmentOf("weft/withdrawals/v1", rootOf(_leaves()), 2));
        vm.deal(address(this), 1000 ether);
        vault.endow{value: 100 ether}();
        // Other people's bond, to be had if anything is.
        _bond(KEY + 1, address(this));
    }

    function test_aClaimIsNotPaidTwice() public {
        receiver.arm(address(vault), _claiming(0));
        (bool taken,) = address(vault).call(_claiming(0));
        vm.assertTrue(taken);
        vm.assertFalse(receiver.taken());
        vm.assertEq(receiver.reason(), abi.encodeWithSelector(Vault.AlreadyClaimed.selector, 0));
        vm.assertEq(address(receiver).balance, 1 ether);
    }

    function test_anotherClaimMayFollowInside() public {
        receiver.arm(address(vault), _claiming(1));
        (bool taken,) = address(vault).call(_claiming(0));
        vm.assertTrue(taken && receiver.taken());
        vm.assertEq(address(receiver).balance, 3 ether);
        vm.assertEq(address(vault).balance, 97 ether);
        vm.assertTrue(vault.isClaimed(0) && vault.isClaimed(1));
    }

    function test_aBondIsNotPaidBackTwice() public {
        _bond(KEY, address(receiver));
        receiver.run(address(registry), 0, abi.encodeCall(StakeRegistry.exit, (validator)));
        vm.warp(START + 1 days);
        receiver.arm(address(registry), abi.encodeCall(StakeRegistry.withdraw, (validator)));
        registry.withdraw(validator);
        vm.assertFalse(receiver.taken());
        vm.assertEq(receiver.reason(), _wrongStatus(StakeRegistry.Status.None));
        vm.assertEq(address(receiver).balance, BOND);
        vm.assertEq(address(registry).balance, BOND);
    }

    function test_aBondIsNotSlashedWhileItIsPaidBack() public {
        _bond(KEY, address(receiver));
        receiver.run(address(registry), 0, abi.encodeCall(StakeRegistry.exit, (validator)));
        vm.warp(START + 1 days);
        receiver.arm(address(registry), _evidence());
        registry.withdraw(validator);
        vm.assertFalse(receiver.taken());
        vm.assertEq(address(receiver).balance, BOND);
    }

    function test_aRewardIsNotPaidTwice() public {
        _bond(KEY, address(this));
        receiver.arm(address(registry), _evidence());
        receiver.run(address(registry), 0, _evidence());
        vm.assertFalse(receiver.taken());
        vm.assertEq(receiver.reason(), _wrongStatus(StakeRegistry.Status.Slashed));
        vm.assertEq(address(receiver).balance, BOND / 20);
    }

    /// An owner that is slashed for its own report gets no more than the twentieth.
    function test_aBondIsNotPaidBackWhileItIsSlashed() public {
        _bond(KEY, address(receiver));
        receiver.run(address(registry), 0, abi.encodeCall(StakeRegistry.exit, (validator)));
        vm.warp(START + 2 days);
        receiver.arm(address(registry), abi.encodeCall(StakeRegistry.withdraw, (validator)));
        receiver.run(address(registry), 0, _evidence());
        vm.assertFalse(receiver.taken());
        vm.assertEq(receiver.reason(), _wrongStatus(StakeRegistry.Status.Slashed));
        vm.assertEq(address(receiver).balance, BOND / 20);
    }

    /// Who cannot be paid holds up nobody but itself.
    function test_whoRefusesPaymentKeepsItsState() public {
        _bond(KEY, address(receiver));
        receiver.run(address(registry), 0, abi.encodeCall(StakeRegistry.exit, (validator)));
        vm.warp(START + 1 days);
        vm.etch(address(receiver), type(Refuser).runtimeCode);
        bytes memory failed =
            abi.encodeWithSelector(Payments.PaymentFailed.selector, address(receiver), BOND);
        refused(address(registry), abi.encodeCall(StakeRegistry.withdraw, (validator)), failed);
        (, uint88 amount, StakeRegistry.Status status,) = registry.bonds(validator);
        vm.assertEq(amount, BOND);
        vm.assertTrue(status == StakeRegistry.Status.Exiting);

        vm.prank(address(receiver));
        (bool taken,) = address(registry).call(_evidence());
        vm.assertFalse(taken);
        vm.prank(address(0xbeef));
        (taken,) = address(registry).call(_evidence());
        vm.assertTrue(taken);
    }

    function test_answersOfAnOwnerAreNotCopied() public {
        _bond(KEY, address(receiver));
        receiver.run(address(registry), 0, abi.encodeCall(StakeRegistry.exit, (validator)));
        vm.warp(START + 1 days);
        vm.etch(address(receiver), type(Chatterbox).runtimeCode);
        uint256 before = gasleft();
        registry.withdraw(validator);
        vm.assertLe(before - gasleft(), 2_200_000);
    }

    function _bond(uint256 key, address owner) private {
        bytes memory call = abi.encodeCall(
            StakeRegistry.bond, (vm.addr(key), possess(key, CHAIN, address(registry), owner))
        );
        if (owner == address(this)) {
            (bool taken,) = address(registry).call{value: BOND}(call);
            vm.assertTrue(taken);
        } else {
            Reenterer(payable(owner)).run{value: BOND}(address(registry), BOND, call);
        }
    }

    function _evidence() private pure returns (bytes memory) {
        bytes memory slot = hex"0000000000000007";
        (bytes32 a, bytes32 b) = (bytes32(uint256(1)), bytes32(uint256(2)));
        return abi.encodeCall(
            StakeRegistry.slash,
            (
                3,
                slot,
                a,
                sign(KEY, signingHash("observation", CHAIN, slot, a)),
                b,
                sign(KEY, signingHash("observation", CHAIN, slot, b))
            )
        );
    }

    function _wrongStatus(StakeRegistry.Status status) private view returns (bytes memory) {
        return abi.encodeWithSelector(StakeRegistry.WrongStatus.selector, validator, status);
    }

    function _leaves() private view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](2);
        for (uint64 i = 0; i < 2; i++) {
            bytes16 amount = bytes16(uint128((i + 1) * 1 ether));
            leaves[i] = leafOf(bytes.concat(bytes8(i), bytes20(address(receiver)), amount));
        }
    }

    function _claiming(uint64 index) private view returns (bytes memory) {
        uint128 amount = (index + 1) * 1 ether;
        return abi.encodeCall(
            Vault.claim, (index, address(receiver), amount, 2, pathOf(_leaves(), index), 0)
        );
    }
}
