// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "../src/Inbox.sol";
import {LightClient} from "../src/LightClient.sol";
import {Vault} from "../src/Vault.sol";
import {LightClientMock} from "./Mocks.sol";
import {FuzzSelector, Test} from "./Test.sol";
import {vm} from "./Vm.sol";

/// Users, posters and watchers in any order, next to a second reading of the rules for fallback that
/// remembers everything that ever happened.
contract Parties is Test {
    struct Sent {
        uint64 namespace;
        address sender;
        uint64 blockNumber;
        uint64 timestamp;
        bytes32 dataHash;
    }

    uint256 internal constant STALL_BLOCKS = 30;
    uint256 internal constant OVERDUE = 20;
    uint256 internal constant GRACE = 8;

    LightClientMock public client;
    Inbox public inbox;
    Vault public vault;

    Sent[] public sent;
    mapping(uint256 blockNumber => uint256) public bytesIn;
    uint256 public mostInABlock;
    uint256 public fees;
    uint256 public activations;
    uint256 public endings;
    string public fault;

    // The second reading.
    bool private _announced;
    uint256 private _message;
    uint256 private _announcedIn;
    uint256 private _announcedAt;
    bool public fallbackOn;
    uint256 private _height;
    uint256 private _time;
    uint256 private _origin;
    uint256 private _postedIn;

    constructor() {
        vm.roll(1000);
        vm.warp(1_790_000_000);
        client = new LightClientMock();
        vault = new Vault(LightClient(address(client)));
        inbox = new Inbox(
            vault,
            LightClient(address(client)),
            5,
            3,
            uint64(STALL_BLOCKS),
            uint64(OVERDUE),
            uint64(GRACE)
        );
        (_height, _time, _origin) = (1, 1_790_000_000_000, 990);
        client.post(_height, _time, _origin);
        _postedIn = 1000;
    }

    function force(uint64 namespace, uint256 length, uint256 who) external {
        // Often what just fits into the block, or just does not.
        uint256 room = 65_536 - bytesIn[vm.getBlockNumber()];
        length = who % 2 == 0 ? bound(length, 0, 20_000) : room + length % 2;
        if (length > 20_000) length = 16_384 + length % 2;
        bytes memory data = new bytes(length);
        if (length > 0) data[who % length] = 0x77;
        address sender = address(uint160(0xa0 + who % 3));
        uint256 fee = 5 + 3 * length;
        vm.deal(sender, fee);
        bool right =
            length > 0 && length <= 16_384 && bytesIn[vm.getBlockNumber()] + length <= 65_536;
        vm.prank(sender);
        try inbox.force{value: fee}(namespace, data) {
            if (!right) fault = "took a message";
            sent.push(
                Sent(
                    namespace,
                    sender,
                    uint64(vm.getBlockNumber()),
                    uint64(vm.getBlockTimestamp()),
                    keccak256(data)
                )
            );
            bytesIn[vm.getBlockNumber()] += length;
            if (bytesIn[vm.getBlockNumber()] > mostInABlock) {
                mostInABlock = bytesIn[vm.getBlockNumber()];
            }
            fees += fee;
        } catch {
            if (right) fault = "refused a message";
        }
    }

    function pass(uint256 blocks) public {
        blocks = bound(blocks, 1, 12);
        vm.roll(vm.getBlockNumber() + blocks);
        vm.warp(vm.getBlockTimestamp() + 12 * blocks);
    }

    /// Posts what is fresh or old, having taken in much of L1 or nothing.
    function post(uint256 age, uint256 origin) external {
        // Rare enough for the network to stall now and then.
        if (age % 4 != 0) return;
        uint256 now_ = vm.getBlockTimestamp() * 1000;
        uint256 time = bound(age, _time + 1, now_ > _time + 1 ? now_ : _time + 1);
        if (age % 8 == 0 && now_ > _time) time = now_;
        if (origin % 4 == 0) _origin = bound(origin, _origin, vm.getBlockNumber());
        if (origin % 4 == 1 && sent.length > 0) {
            // Up to a message, or just not.
            uint256 which = _announced && _message < sent.length ? _message : origin % sent.length;
            uint256 number = sent[which].blockNumber - (origin >> 128) % 2;
            if (number > _origin) _origin = number;
        }
        (_height, _time, _postedIn) = (_height + 1, time, vm.getBlockNumber());
        client.post(_height, _time, _origin);
        if (fallbackOn) endings++;
        fallbackOn = false;
        if (_announced && _isAnswered()) _announced = false;
        _compare();
    }

    function announce(uint256 which) external {
        bool stalled = which % 2 == 0;
        uint64 message = stalled ? type(uint64).max : uint64(bound(which, 0, sent.length));
        bool right = !_announced && !fallbackOn;
        if (stalled) {
            right = right && vm.getBlockNumber() - _postedIn > STALL_BLOCKS;
        } else if (message < sent.length) {
            uint256 number = sent[message].blockNumber;
            right = right && vm.getBlockNumber() - number > OVERDUE && number > _origin;
        } else {
            right = false;
        }
        try inbox.announce(message) {
            if (!right) fault = "announced";
            (_announced, _message) = (true, message);
            (_announcedIn, _announcedAt) = (vm.getBlockNumber(), vm.getBlockTimestamp());
        } catch {
            if (right) fault = "did not announce";
        }
        _compare();
    }

    function activate(uint256 when) external {
        // Often in the first block in which it could hold, or in the one before.
        uint256 until = _announcedIn + GRACE - (when >> 128) % 2;
        if (_announced && when % 2 == 0 && until > vm.getBlockNumber()) {
            pass(until - vm.getBlockNumber());
        }
        bool right = _announced && vm.getBlockNumber() >= _announcedIn + GRACE;
        try inbox.activate() {
            if (!right) fault = "activated";
            (_announced, fallbackOn) = (false, true);
            activations++;
        } catch {
            if (right) fault = "did not activate";
        }
        _compare();
    }

    function messages() external view returns (uint256) {
        return sent.length;
    }

    function _isAnswered() private view returns (bool) {
        if (_message == type(uint64).max) return _time >= _announcedAt * 1000;
        return _origin >= sent[_message].blockNumber;
    }

    function _compare() private {
        if (inbox.isFallback() != fallbackOn) fault = "fallback";
        if (inbox.isAnnounced() != _announced) fault = "announcement";
    }
}

contract InboxInvariantTest {
    Parties private _parties;

    function setUp() public {
        _parties = new Parties();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_parties);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_parties), new bytes4[](5));
        targets[0].selectors[0] = Parties.force.selector;
        targets[0].selectors[1] = Parties.pass.selector;
        targets[0].selectors[2] = Parties.post.selector;
        targets[0].selectors[3] = Parties.announce.selector;
        targets[0].selectors[4] = Parties.activate.selector;
    }

    function invariant_theRulesAreThoseOfASecondReading() public view {
        vm.assertEq(bytes(_parties.fault()), "");
        vm.assertTrue(_parties.inbox().isFallback() == _parties.fallbackOn());
    }

    function invariant_theRollingHashIsThatOfTheList() public view {
        bytes32 rolling;
        uint256 count = _parties.messages();
        for (uint64 i = 0; i < count; i++) {
            (uint64 namespace, address sender, uint64 number, uint64 time, bytes32 data) =
                _parties.sent(i);
            rolling = keccak256(
                bytes.concat(
                    rolling, bytes8(namespace), bytes8(i), bytes20(sender), bytes8(time), data
                )
            );
            Inbox.Message memory kept = _parties.inbox().message(i);
            vm.assertEq(kept.namespace, namespace);
            vm.assertEq(kept.blockNumber, number);
            vm.assertEq(kept.timestamp, time);
        }
        vm.assertEq(_parties.inbox().rolling(), rolling);
        vm.assertEq(_parties.inbox().count(), count);
    }

    function invariant_aBlockTakesSoManyBytes() public view {
        vm.assertLe(_parties.mostInABlock(), 65_536);
    }

    function invariant_everyFeeIsInTheVault() public view {
        vm.assertEq(address(_parties.vault()).balance, _parties.fees());
        vm.assertEq(address(_parties.inbox()).balance, 0);
    }
}
