// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {LightClient} from "../src/LightClient.sol";
import {Vault} from "../src/Vault.sol";
import {LightClientMock} from "./Mocks.sol";
import {NaiveTree} from "./NaiveTree.sol";
import {FuzzSelector, Test} from "./Test.sol";
import {Vm, vm} from "./Vm.sol";

/// Puts in and claims in any order, more than there is, and more than once.
contract Claimants is Test, NaiveTree {
    uint64 internal constant COUNT = 300;

    Vault public vault;
    uint256 public cameIn;
    uint256 public paid;
    uint256 public claims;
    uint256 public refusals;
    bool public twice;
    mapping(uint64 index => bool) public isPaid;

    bytes32[] private _leaves;

    constructor() {
        LightClientMock client = new LightClientMock();
        vault = new Vault(LightClient(address(client)));
        for (uint64 i = 0; i < COUNT; i++) {
            _leaves.push(leafOf(bytes.concat(bytes8(i), bytes20(_to(i)), bytes16(_amount(i)))));
        }
        client.setRoot(0, commitmentOf("weft/withdrawals/v1", rootOf(_leaves), COUNT));
    }

    function deposit(uint256 amount) external {
        amount = bound(amount, 1, 4 ether);
        vm.deal(address(this), amount);
        vault.deposit{value: amount}(address(7));
        cameIn += amount;
    }

    function endow(uint256 amount) external {
        amount = bound(amount, 0, 1 ether);
        vm.deal(address(this), amount);
        vault.endow{value: amount}();
        cameIn += amount;
    }

    function claim(uint256 seed) external {
        // Few enough to come back to one, over two words of claims.
        uint64 index = uint64(bound(seed, 240, 270));
        bytes32[] memory path = pathOf(_leaves, index);
        vm.recordLogs();
        try vault.claim(index, _to(index), _amount(index), COUNT, path, 0) {
            claims++;
            if (isPaid[index]) twice = true;
            isPaid[index] = true;
            Vm.Log[] memory logs = vm.getRecordedLogs();
            paid += abi.decode(logs[0].data, (uint256));
        } catch {
            refusals++;
        }
    }

    function _to(uint64 index) private pure returns (address) {
        return address(uint160(0xcafe00 + index));
    }

    function _amount(uint64 index) private pure returns (uint128) {
        return 1 ether + index;
    }
}

contract VaultInvariantTest {
    Claimants private _claimants;

    function setUp() public {
        _claimants = new Claimants();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_claimants);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_claimants), new bytes4[](3));
        targets[0].selectors[0] = Claimants.deposit.selector;
        targets[0].selectors[1] = Claimants.endow.selector;
        targets[0].selectors[2] = Claimants.claim.selector;
    }

    function invariant_noMoreGoesOutThanCameIn() public view {
        vm.assertLe(_claimants.paid(), _claimants.cameIn());
        vm.assertEq(address(_claimants.vault()).balance, _claimants.cameIn() - _claimants.paid());
    }

    function invariant_noIndexIsPaidTwice() public view {
        vm.assertFalse(_claimants.twice());
        uint256 claimed;
        for (uint64 i = 230; i < 280; i++) {
            vm.assertTrue(_claimants.vault().isClaimed(i) == _claimants.isPaid(i));
            if (_claimants.isPaid(i)) claimed++;
        }
        vm.assertEq(claimed, _claimants.claims());
    }

    function afterInvariant() public view {
        vm.assertTrue(_claimants.claims() > 0);
        vm.assertTrue(_claimants.refusals() > 0);
    }
}
