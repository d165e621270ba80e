// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StakeRegistry} from "../src/StakeRegistry.sol";
import {Network} from "./Network.sol";
import {FuzzSelector, Test} from "./Test.sol";
import {Vm, vm} from "./Vm.sol";

/// Five validators and three owners that do everything in any order.
contract Stakers is Test, Network {
    uint64 internal constant CHAIN = 1477;
    uint256 internal constant VALIDATORS = 5;

    StakeRegistry public registry;
    /// Stake as the events tell it.
    mapping(address validator => uint256) public told;
    mapping(address validator => bool) public slashed;
    /// What slashing left in the contract for good, wei.
    uint256 public lost;

    constructor() {
        vm.warp(1_790_000_000);
        registry = new StakeRegistry(CHAIN, 10 ether, 1 days);
    }

    function validatorAt(uint256 i) public pure returns (address) {
        return vm.addr(100 + i);
    }

    function bond(uint256 i, uint256 owner, uint256 amount) external {
        i = bound(i, 0, VALIDATORS - 1);
        address sender = _owner(owner);
        amount = bound(amount, 9.5 ether, 20 ether);
        vm.deal(sender, amount);
        bytes memory possession = possess(100 + i, CHAIN, address(registry), sender);
        _do(sender, amount, abi.encodeCall(StakeRegistry.bond, (validatorAt(i), possession)));
    }

    function topUp(uint256 i, uint256 owner, uint256 amount) external {
        address sender = _owner(owner);
        amount = bound(amount, 0, 1 ether);
        vm.deal(sender, amount);
        address validator = validatorAt(bound(i, 0, VALIDATORS - 1));
        _do(sender, amount, abi.encodeCall(StakeRegistry.topUp, (validator)));
    }

    function exit(uint256 i, uint256 owner) external {
        address validator = validatorAt(bound(i, 0, VALIDATORS - 1));
        _do(_owner(owner), 0, abi.encodeCall(StakeRegistry.exit, (validator)));
    }

    function withdraw(uint256 i, uint256 owner) external {
        address validator = validatorAt(bound(i, 0, VALIDATORS - 1));
        _do(_owner(owner), 0, abi.encodeCall(StakeRegistry.withdraw, (validator)));
    }

    /// Rare, or no validator would be left.
    function slash(uint256 i, uint256 height, uint256 dice) external {
        if (dice % 4 != 0) return;
        i = bound(i, 0, VALIDATORS - 1);
        bytes memory slot = voteSlot(PRECOMMIT, uint64(bound(height, 0, 3)), 0);
        (bytes32 a, bytes32 b) = (bytes32(uint256(1)), bytes32(uint256(2)));
        bytes memory call = abi.encodeCall(
            StakeRegistry.slash,
            (
                5,
                slot,
                a,
                sign(100 + i, signingHash("vote", CHAIN, slot, a)),
                b,
                sign(100 + i, signingHash("vote", CHAIN, slot, b))
            )
        );
        (, uint88 amount,,) = registry.bonds(validatorAt(i));
        if (_do(address(0xbeef), 0, call)) {
            slashed[validatorAt(i)] = true;
            lost += amount - amount / 20;
        }
    }

    function pass(uint256 time) external {
        vm.warp(vm.getBlockTimestamp() + bound(time, 1, 1 days));
    }

    function _owner(uint256 owner) private pure returns (address) {
        return address(uint160(0xa0 + bound(owner, 0, 2)));
    }

    function _do(address sender, uint256 value, bytes memory call) private returns (bool taken) {
        vm.recordLogs();
        vm.prank(sender);
        (taken,) = address(registry).call{value: value}(call);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; i++) {
            if (logs[i].topics[0] == keccak256("StakeChanged(address,uint256)")) {
                address validator = address(uint160(uint256(logs[i].topics[1])));
                told[validator] = abi.decode(logs[i].data, (uint256));
            }
        }
    }
}

contract StakeRegistryInvariantTest {
    Stakers private _stakers;

    function setUp() public {
        _stakers = new Stakers();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_stakers);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_stakers), new bytes4[](6));
        targets[0].selectors[0] = Stakers.bond.selector;
        targets[0].selectors[1] = Stakers.topUp.selector;
        targets[0].selectors[2] = Stakers.exit.selector;
        targets[0].selectors[3] = Stakers.withdraw.selector;
        targets[0].selectors[4] = Stakers.slash.selector;
        targets[0].selectors[5] = Stakers.pass.selector;
    }

    function invariant_everyBondIsThere() public view {
        StakeRegistry registry = _stakers.registry();
        uint256 owed;
        for (uint256 i = 0; i < 5; i++) {
            (, uint88 amount,,) = registry.bonds(_stakers.validatorAt(i));
            owed += amount;
        }
        vm.assertEq(owed + _stakers.lost(), address(registry).balance);
    }

    function invariant_whoWasSlashedHasNoStake() public view {
        StakeRegistry registry = _stakers.registry();
        for (uint256 i = 0; i < 5; i++) {
            address validator = _stakers.validatorAt(i);
            if (!_stakers.slashed(validator)) continue;
            (address owner, uint88 amount, StakeRegistry.Status status,) = registry.bonds(validator);
            vm.assertTrue(status == StakeRegistry.Status.Slashed);
            vm.assertTrue(owner == address(0) && amount == 0);
            vm.assertEq(registry.stakeOf(validator), 0);
        }
    }

    function invariant_eventsTellTheState() public view {
        for (uint256 i = 0; i < 5; i++) {
            address validator = _stakers.validatorAt(i);
            vm.assertEq(_stakers.told(validator), _stakers.registry().stakeOf(validator));
        }
    }

    function invariant_aBondThatCountsIsNotBelowTheLeast() public view {
        for (uint256 i = 0; i < 5; i++) {
            uint256 stake = _stakers.registry().stakeOf(_stakers.validatorAt(i));
            vm.assertTrue(stake == 0 || stake >= 10 ether);
        }
    }
}
