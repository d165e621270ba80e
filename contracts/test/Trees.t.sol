// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Trees} from "../src/Trees.sol";
import {Harness} from "./Harness.sol";
import {NaiveTree} from "./NaiveTree.sol";
import {Test} from "./Test.sol";
import {vm} from "./Vm.sol";

/// Paths against a naive tree.
contract TreesTest is Test, NaiveTree {
    Harness private _harness;

    function setUp() public {
        _harness = new Harness();
    }

    function test_everyPathOfEveryTreeLeadsToItsRoot() public view {
        for (uint64 count = 1; count <= 64; count++) {
            bytes32[] memory leaves = _leaves(count);
            bytes32 root = rootOf(leaves);
            for (uint64 index = 0; index < count; index++) {
                bytes32 found = _harness.root(leaves[index], index, count, pathOf(leaves, index));
                vm.assertEq(found, root);
            }
        }
    }

    function test_pathsOfAnotherLengthAreRefused() public {
        for (uint64 count = 1; count <= 64; count++) {
            bytes32[] memory leaves = _leaves(count);
            for (uint64 index = 0; index < count; index++) {
                bytes32[] memory path = pathOf(leaves, index);
                bytes32[] memory longer = new bytes32[](path.length + 1);
                for (uint256 i = 0; i < path.length; i++) {
                    longer[i] = path[i];
                }
                _refuse(leaves[index], index, count, longer);
                if (path.length == 0) continue;
                assembly ("memory-safe") {
                    mstore(path, sub(mload(path), 1))
                }
                _refuse(leaves[index], index, count, path);
            }
        }
    }

    function test_leavesBeyondTheEndAreRefused() public {
        bytes32[] memory path = new bytes32[](0);
        uint64[3] memory counts = [0, 1, type(uint64).max];
        for (uint256 i = 0; i < 3; i++) {
            bytes memory call = abi.encodeCall(Harness.root, (0, counts[i], counts[i], path));
            refused(
                address(_harness),
                call,
                abi.encodeWithSelector(Trees.NoSuchLeaf.selector, counts[i], counts[i])
            );
        }
    }

    /// The largest trees there can be: nothing overflows, and only one length fits.
    function test_theLargestTree() public {
        uint64 count = type(uint64).max;
        bytes32[] memory path = new bytes32[](64);
        _harness.root(0, 0, count, path);
        assembly ("memory-safe") {
            mstore(path, 63)
        }
        _refuse(0, 0, count, path);
        // The last leaf of 2^64 - 1 has no sibling on the lowest level.
        _harness.root(0, count - 1, count, path);
    }

    function testFuzz_aPathProvesItsLeafAtItsPlaceOnly(
        uint256 count,
        uint256 index,
        uint256 otherIndex,
        uint256 otherCount,
        bytes32 otherLeaf,
        uint256 bit
    ) public view {
        count = bound(count, 1, 200);
        index = bound(index, 0, count - 1);
        bytes32[] memory leaves = _leaves(uint64(count));
        bytes32[] memory path = pathOf(leaves, index);
        bytes32 root = commitmentOf("tag", rootOf(leaves), uint64(count));
        vm.assertEq(_commitment(leaves[index], index, count, path), root);

        if (otherLeaf != leaves[index]) {
            vm.assertTrue(_commitment(otherLeaf, index, count, path) != root);
        }
        otherIndex = bound(otherIndex, 0, 210);
        if (otherIndex != index) {
            vm.assertTrue(_commitment(leaves[index], otherIndex, count, path) != root);
        }
        otherCount = bound(otherCount, 0, 210);
        if (otherCount != count) {
            vm.assertTrue(_commitment(leaves[index], index, otherCount, path) != root);
        }
        if (path.length > 0) {
            bit = bound(bit, 0, path.length * 256 - 1);
            path[bit / 256] ^= bytes32(1 << (bit % 256));
            vm.assertTrue(_commitment(leaves[index], index, count, path) != root);
        }
    }

    /// A node passes for no leaf: the content of a leaf is hashed under another first byte.
    function test_aNodeIsNoLeaf() public view {
        bytes32[] memory leaves = _leaves(2);
        bytes32 root = rootOf(leaves);
        vm.assertTrue(_harness.leaf(bytes.concat(leaves[0], leaves[1])) != root);
        vm.assertTrue(_harness.leaf(bytes.concat(hex"01", leaves[0], leaves[1])) != root);
    }

    function _leaves(uint64 count) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](count);
        for (uint64 i = 0; i < count; i++) {
            leaves[i] = leafOf(bytes.concat(bytes8(i)));
        }
    }

    function _commitment(bytes32 leaf, uint256 index, uint256 count, bytes32[] memory path)
        private
        view
        returns (bytes32)
    {
        try _harness.root(leaf, uint64(index), uint64(count), path) returns (bytes32 root) {
            return _harness.commitment(keccak256("tag"), root, uint64(count));
        } catch {
            return 0;
        }
    }

    function _refuse(bytes32 leaf, uint64 index, uint64 count, bytes32[] memory path) private {
        refused(
            address(_harness),
            abi.encodeCall(Harness.root, (leaf, index, count, path)),
            abi.encodeWithSelector(Trees.PathLength.selector, path.length, index, count)
        );
    }
}
