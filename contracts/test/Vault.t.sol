// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {LightClient} from "../src/LightClient.sol";
import {Payments} from "../src/Payments.sol";
import {Trees} from "../src/Trees.sol";
import {Vault} from "../src/Vault.sol";
import {Chatterbox, LightClientMock, Refuser} from "./Mocks.sol";
import {NaiveTree} from "./NaiveTree.sol";
import {Test} from "./Test.sol";
import {vm} from "./Vm.sol";

/// One test per rule of spec/ethereum.md, Vault.
contract VaultTest is Test, NaiveTree {
    event Deposited(address indexed to, uint256 amount);
    event Claimed(uint64 indexed index, address indexed to, uint256 amount);

    uint64 internal constant COUNT = 11;
    uint256 internal constant PLACE = 5;

    LightClientMock internal client;
    Vault internal vault;

    function setUp() public {
        client = new LightClientMock();
        vault = new Vault(LightClient(address(client)));
        client.setRoot(PLACE, commitmentOf("weft/withdrawals/v1", rootOf(_leaves()), COUNT));
        vm.deal(address(this), 100 ether);
    }

    function test_deposit() public {
        vm.expectEmit(address(vault));
        emit Deposited(address(7), 3);
        vault.deposit{value: 3}(address(7));
        vm.assertEq(address(vault).balance, 3);
        vm.expectRevert(abi.encodeWithSelector(Vault.NothingSent.selector));
        vault.deposit(address(7));
    }

    function test_endowIsSilent() public {
        vm.recordLogs();
        vault.endow{value: 3}();
        vm.assertEq(vm.getRecordedLogs().length, 0);
        vm.assertEq(address(vault).balance, 3);
    }

    /// Wei sent by mistake would be nobody's.
    function test_takesNothingElse() public {
        (bool taken,) = address(vault).call{value: 1}("");
        vm.assertFalse(taken);
    }

    function test_everyWithdrawalIsPaidOnce() public {
        vault.endow{value: 50 ether}();
        for (uint64 index = 0; index < COUNT; index++) {
            vm.assertFalse(vault.isClaimed(index));
            vm.expectEmit(address(vault));
            emit Claimed(index, _to(index), _amount(index));
            _claim(index);
            vm.assertTrue(vault.isClaimed(index));
            vm.assertEq(_to(index).balance, _amount(index));
        }
        for (uint64 index = 0; index < COUNT; index++) {
            refused(
                address(vault),
                _claiming(index),
                abi.encodeWithSelector(Vault.AlreadyClaimed.selector, index)
            );
        }
    }

    /// A later root is another proof of the same withdrawal, not another withdrawal.
    function test_onceWhateverTheRoot() public {
        vault.endow{value: 50 ether}();
        _claim(3);
        bytes32[] memory one = new bytes32[](4);
        for (uint64 i = 0; i < 4; i++) {
            one[i] = _leaf(i);
        }
        client.setRoot(0, commitmentOf("weft/withdrawals/v1", rootOf(one), 4));
        refused(
            address(vault),
            abi.encodeCall(Vault.claim, (3, _to(3), _amount(3), 4, pathOf(one, 3), 0)),
            abi.encodeWithSelector(Vault.AlreadyClaimed.selector, 3)
        );
        vault.claim(2, _to(2), _amount(2), 4, pathOf(one, 2), 0);
    }

    function test_everythingAboutAWithdrawalIsProven() public {
        vault.endow{value: 50 ether}();
        bytes32[] memory path = pathOf(_leaves(), 3);
        bytes[6] memory calls = [
            abi.encodeCall(Vault.claim, (2, _to(3), _amount(3), COUNT, path, PLACE)),
            abi.encodeCall(Vault.claim, (3, _to(2), _amount(3), COUNT, path, PLACE)),
            abi.encodeCall(Vault.claim, (3, _to(3), _amount(3) + 1, COUNT, path, PLACE)),
            abi.encodeCall(Vault.claim, (3, _to(3), _amount(3), COUNT + 1, path, PLACE)),
            abi.encodeCall(
                Vault.claim, (3, _to(3), _amount(3), COUNT, pathOf(_leaves(), 2), PLACE)
            ),
            abi.encodeCall(Vault.claim, (3, _to(3), _amount(3), COUNT, path, PLACE + 1))
        ];
        for (uint256 i = 0; i < calls.length; i++) {
            (bool taken, bytes memory reason) = address(vault).call(calls[i]);
            vm.assertFalse(taken, vm.toString(i));
            vm.assertEq(bytes32(selectorOf(reason)), bytes32(Vault.WrongRoot.selector));
        }
        _claim(3);
    }

    function test_aPathFitsItsTree() public {
        bytes32[] memory path = new bytes32[](3);
        refused(
            address(vault),
            abi.encodeCall(Vault.claim, (3, _to(3), _amount(3), COUNT, path, PLACE)),
            abi.encodeWithSelector(Trees.PathLength.selector, 3, 3, COUNT)
        );
        refused(
            address(vault),
            abi.encodeCall(Vault.claim, (COUNT, _to(3), _amount(3), COUNT, path, PLACE)),
            abi.encodeWithSelector(Trees.NoSuchLeaf.selector, COUNT, COUNT)
        );
    }

    function test_anEmptyListProvesNothing() public {
        client.setRoot(0, commitmentOf("weft/withdrawals/v1", 0, 0));
        refused(
            address(vault),
            abi.encodeCall(Vault.claim, (0, _to(0), 1, 0, new bytes32[](0), 0)),
            abi.encodeWithSelector(Trees.NoSuchLeaf.selector, 0, 0)
        );
    }

    /// Lists of other things have other tags.
    function test_theTag() public {
        client.setRoot(PLACE, commitmentOf("weft/results/v1", rootOf(_leaves()), COUNT));
        (bool taken,) = address(vault).call(_claiming(3));
        vm.assertFalse(taken);
    }

    /// Not enough, or not wanted: it can be tried again.
    function test_whatCannotBePaidIsNotClaimed() public {
        bytes memory failed =
            abi.encodeWithSelector(Payments.PaymentFailed.selector, _to(3), _amount(3));
        vault.endow{value: _amount(3) - 1}();
        refused(address(vault), _claiming(3), failed);
        vault.endow{value: 1}();
        vm.etch(_to(3), type(Refuser).runtimeCode);
        refused(address(vault), _claiming(3), failed);
        vm.assertFalse(vault.isClaimed(3));
        vm.etch(_to(3), "");
        _claim(3);
    }

    function test_answersOfAReceiverAreNotCopied() public {
        vault.endow{value: 50 ether}();
        vm.etch(_to(3), type(Chatterbox).runtimeCode);
        bytes memory call = _claiming(3);
        uint256 before = gasleft();
        (bool taken,) = address(vault).call(call);
        // A million bytes cost the receiver 2.0 million gas, and would the caller again.
        vm.assertTrue(taken);
        vm.assertLe(before - gasleft(), 2_200_000);
    }

    /// Neighbours in a word of claims do not touch each other.
    function testFuzz_indicesAreKeptApart(uint64 a, uint64 b) public {
        if (a % 2 == 0) a = uint64(bound(a, 0, 600));
        if (b % 2 == 0) b = uint64(bound(b, 0, 600));
        vm.assume(a != b && a != type(uint64).max);
        vault.endow{value: 1 ether}();
        // A tree in which only the path to `a` is known: the siblings are anything.
        bytes32[] memory path = new bytes32[](64);
        uint256 width = uint256(a) + 1;
        uint256 used;
        bytes32 hash = leafOf(abi.encodePacked(a, address(0xcafe), uint128(1)));
        for (uint256 i = a; width > 1; (i, width) = (i >> 1, (width + 1) >> 1)) {
            if (i & 1 == 1) {
                path[used] = bytes32(used);
                hash = keccak256(bytes.concat(hex"01", path[used++], hash));
            }
        }
        assembly ("memory-safe") {
            mstore(path, used)
        }
        client.setRoot(9, commitmentOf("weft/withdrawals/v1", hash, a + 1));
        vault.claim(a, address(0xcafe), 1, a + 1, path, 9);
        vm.assertTrue(vault.isClaimed(a));
        vm.assertFalse(vault.isClaimed(b));
    }

    function _to(uint64 index) private pure returns (address) {
        return address(uint160(0xcafe00 + index));
    }

    function _amount(uint64 index) private pure returns (uint128) {
        return 1 ether + index;
    }

    function _leaf(uint64 index) private pure returns (bytes32) {
        return leafOf(bytes.concat(bytes8(index), bytes20(_to(index)), bytes16(_amount(index))));
    }

    function _leaves() private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](COUNT);
        for (uint64 i = 0; i < COUNT; i++) {
            leaves[i] = _leaf(i);
        }
    }

    function _claiming(uint64 index) private pure returns (bytes memory) {
        return abi.encodeCall(
            Vault.claim, (index, _to(index), _amount(index), COUNT, pathOf(_leaves(), index), PLACE)
        );
    }

    function _claim(uint64 index) private {
        vault.claim(index, _to(index), _amount(index), COUNT, pathOf(_leaves(), index), PLACE);
    }
}
