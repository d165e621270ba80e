// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {LightClient} from "../src/LightClient.sol";
import {Header} from "./Network.sol";
import {Posting} from "./Posting.sol";
import {FuzzSelector} from "./Test.sol";
import {vm} from "./Vm.sol";

/// Posts headers right and wrong, in any order, and compares each head with the one before.
contract Posters is Posting {
    uint256 public taken;
    uint256 public refusals;
    bool public wentBack;
    bool public ringWrong;
    uint256[] private _newKeys;

    /// The roots that were stored, in order.
    bytes32[] private _stored;

    constructor() {
        setUp();
    }

    function tryPost(uint256 height, uint256 time, uint256 origin, uint256 root, uint256 how)
        external
    {
        (uint64 headHeight, uint48 headTime, uint48 headOrigin,, uint48 stored) = client.head();
        Header memory header = following();
        header.height = uint64(headHeight + bound(height, headHeight == 0 ? 1 : 0, 4)) - 1;
        header.time = uint64(headTime + bound(time, 0, 4000)) - 400;
        header.origin = uint64(headOrigin + bound(origin, 0, 12)) - 1;
        header.withdrawalsRoot = keccak256(abi.encode(bound(root, 0, 3)));
        bool changes = how % 8 == 0;
        if (changes) {
            _newKeys = keysFrom(bound(how, 1, 1 << 128), bound(how >> 128, 1, 5));
            header.nextValidatorsHash = validatorsHashOf(committeeOf(_newKeys));
        }
        uint256 voters = how % 8 == 1 ? keys.length * 2 / 3 : keys.length * 2 / 3 + 1;
        bytes memory votes = certify(header, 0, keys, voters);
        try client.post(encode(header), 0, committee, votes) {
            taken++;
            if (
                header.height <= headHeight || header.time <= headTime || header.origin < headOrigin
                    || how % 8 == 1
            ) wentBack = true;
            if (_stored.length == 0 || _stored[_stored.length - 1] != header.withdrawalsRoot) {
                _stored.push(header.withdrawalsRoot);
            }
            if (changes) {
                keys = _newKeys;
                committee = committeeOf(keys);
                validators = validatorsHashOf(committee);
            }
            uint48 before = stored;
            (headHeight, headTime, headOrigin,, stored) = client.head();
            if (
                headHeight != header.height || headTime != header.time
                    || headOrigin != header.origin
            ) wentBack = true;
            if (stored != before && stored != before + 1) ringWrong = true;
        } catch {
            refusals++;
        }
    }

    function pass(uint256 seconds_) external {
        seconds_ = bound(seconds_, 1, 30);
        vm.warp(vm.getBlockTimestamp() + seconds_);
        vm.roll(vm.getBlockNumber() + seconds_ / 12 + 1);
    }

    function theClient() external view returns (LightClient) {
        return client;
    }

    function theValidators() external view returns (bytes32) {
        return validators;
    }

    function storedRoots() external view returns (bytes32[] memory) {
        return _stored;
    }
}

contract LightClientInvariantTest {
    Posters private _posters;

    function setUp() public {
        _posters = new Posters();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_posters);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_posters), new bytes4[](2));
        targets[0].selectors[0] = Posters.tryPost.selector;
        targets[0].selectors[1] = Posters.pass.selector;
    }

    function invariant_theHeadOnlyRises() public view {
        vm.assertFalse(_posters.wentBack());
    }

    function invariant_theTrustedCommitteeIsTheLastOneNamed() public view {
        vm.assertEq(_posters.theClient().next(), _posters.theValidators());
    }

    function invariant_theRingHoldsWhatDiffered() public view {
        vm.assertFalse(_posters.ringWrong());
        bytes32[] memory roots = _posters.storedRoots();
        (,,,, uint48 stored) = _posters.theClient().head();
        vm.assertEq(stored, roots.length);
        for (uint256 i = 0; i < roots.length; i++) {
            vm.assertEq(_posters.theClient().root(i), roots[i]);
        }
    }

    /// Runs that post nothing, or nothing wrong, would prove nothing.
    function afterInvariant() public view {
        vm.assertTrue(_posters.taken() > 0);
        vm.assertTrue(_posters.refusals() > 0);
    }
}
