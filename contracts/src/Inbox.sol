// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {LightClient} from "./LightClient.sol";
import {Vault} from "./Vault.sol";

/// @title Inbox
/// @notice Messages that the network has to take in, and what happens if it does not
/// (spec/ethereum.md, Inbox).
contract Inbox {
    /// @notice What is kept of a message.
    struct Message {
        /// L1 block it was sent in.
        uint64 blockNumber;
        /// Time of that block, s.
        uint64 timestamp;
        /// The namespace it is for.
        uint64 namespace;
    }

    /// @notice What has been counted. One slot: `force` reads and writes it as a whole.
    struct Tally {
        /// Messages so far.
        uint64 count;
        /// L1 block of the last one.
        uint64 blockNumber;
        /// Bytes of messages in that block.
        uint64 bytesInBlock;
    }

    /// @notice Where an announcement stands.
    enum Phase {
        /// There has been none.
        None,
        /// Made, and not activated. It may be void.
        Announced,
        /// Activated. The fallback may be over.
        Activated
    }

    /// @notice The last announcement.
    struct Announcement {
        /// The message that is overdue, or `STALL`.
        uint64 message;
        /// L1 block it was made in.
        uint48 blockNumber;
        /// Time of that block, s.
        uint48 timestamp;
        /// The head's height when it was activated.
        uint64 height;
        /// Where it stands.
        Phase phase;
    }

    /// @notice A message was sent.
    /// @param namespace Whom for.
    /// @param index Its number over all namespaces, from 0.
    /// @param sender Who sent it, a contract perhaps.
    /// @param fee What was paid, wei.
    /// @param data The message.
    event Forced(
        uint64 indexed namespace,
        uint64 indexed index,
        address indexed sender,
        uint256 fee,
        bytes data
    );
    /// @notice Fallback was announced.
    /// @param message The message that is overdue, or `STALL`.
    event FallbackAnnounced(uint64 message);
    /// @notice Fallback is on, from the head on and until another header is posted.
    /// @param height The head's height.
    /// @param origin The head's L1 origin.
    event FallbackActivated(uint64 height, uint64 origin);

    /// @notice A message has 1 to 16 384 bytes.
    error MessageLength(uint256 length);
    /// @notice With this message, the L1 block would have so many bytes of messages.
    error BlockFull(uint256 bytesInBlock);
    /// @notice Exactly the fee has to be sent, wei.
    error WrongFee(uint256 sent, uint256 fee);
    /// @notice There are only `count` messages.
    error NoSuchMessage(uint64 index, uint64 count);
    /// @notice An announcement stands.
    error AlreadyAnnounced();
    /// @notice Fallback is on.
    error AlreadyFallback();
    /// @notice A header was posted in `postedAt`; L1 has to be beyond `until` blocks.
    error NotStalled(uint256 postedAt, uint256 until);
    /// @notice L1 has to be beyond `until` blocks.
    error NotOverdue(uint256 until);
    /// @notice The network has taken in L1 up to `origin`, and the message with it.
    error TakenIn(uint256 blockNumber, uint256 origin);
    /// @notice No announcement stands.
    error NotAnnounced();
    /// @notice Fallback can be activated from block `from` on.
    error TooEarly(uint256 from);

    /// @notice Announces that no headers are posted, instead of a message.
    uint64 public constant STALL = type(uint64).max;
    /// @notice Most bytes of a message.
    uint256 public constant MAX_MESSAGE = 16_384;
    /// @notice Most bytes of all messages of an L1 block.
    uint256 public constant MAX_BLOCK = 65_536;

    /// @notice Where fees go.
    Vault public immutable vault;
    /// @notice Who tells whether the network answers.
    LightClient public immutable lightClient;
    /// @notice Fee per message, wei.
    uint256 public immutable feePerMessage;
    /// @notice Fee per byte of a message, wei.
    uint256 public immutable feePerByte;
    /// @notice Without a header for more than so many L1 blocks, the network has stalled.
    uint64 public immutable stall;
    /// @notice A message that is not taken in after more than so many L1 blocks is overdue.
    uint64 public immutable overdue;
    /// @notice L1 blocks from an announcement until it can be activated.
    uint64 public immutable grace;

    /// @notice Rolling hash over all messages.
    bytes32 public rolling;
    /// @notice The last announcement: message, L1 block, its time (s), height at which it was activated,
    /// phase. Whether it still means anything, `isAnnounced` and `isFallback` say.
    Announcement public announcement;

    Tally private _tally;
    mapping(uint64 index => Message) private _messages;

    /// @param vault_ Where fees go.
    /// @param lightClient_ Who tells whether the network answers.
    /// @param feePerMessage_ Fee per message, wei.
    /// @param feePerByte_ Fee per byte of a message, wei.
    /// @param stall_ Without a header for more than so many L1 blocks, the network has stalled.
    /// @param overdue_ A message not taken in after more than so many L1 blocks is overdue.
    /// @param grace_ L1 blocks from an announcement until it can be activated.
    constructor(
        Vault vault_,
        LightClient lightClient_,
        uint256 feePerMessage_,
        uint256 feePerByte_,
        uint64 stall_,
        uint64 overdue_,
        uint64 grace_
    ) {
        vault = vault_;
        lightClient = lightClient_;
        feePerMessage = feePerMessage_;
        feePerByte = feePerByte_;
        stall = stall_;
        overdue = overdue_;
        grace = grace_;
    }

    /// @notice Sends a message that the network has to take in, with exactly `feeOf` its length.
    /// @param namespace Whom for. Whether there is such a namespace is not known here.
    /// @param data The message, 1 to 16 384 bytes.
    function force(uint64 namespace, bytes calldata data) external payable {
        uint256 length = data.length;
        if (length == 0 || length > MAX_MESSAGE) revert MessageLength(length);
        uint256 fee = feeOf(length);
        if (msg.value != fee) revert WrongFee(msg.value, fee);
        Tally memory tally = _tally;
        (uint64 number, uint64 timestamp) = (uint64(block.number), uint64(block.timestamp));
        uint256 used = tally.blockNumber == number ? tally.bytesInBlock : 0;
        used += length;
        if (used > MAX_BLOCK) revert BlockFull(used);

        uint64 index = tally.count;
        // forge-lint: disable-next-line(unsafe-typecast)
        _tally = Tally(index + 1, number, uint64(used));
        _messages[index] = Message(number, timestamp, namespace);
        rolling = keccak256(
            abi.encodePacked(rolling, namespace, index, msg.sender, timestamp, keccak256(data))
        );
        emit Forced(namespace, index, msg.sender, fee, data);
        vault.endow{value: fee}();
    }

    /// @notice Announces fallback, which can be activated after the grace (spec/ethereum.md, Inbox).
    /// @param overdueMessage The number of a message that is overdue, or `STALL`.
    function announce(uint64 overdueMessage) external {
        (uint64 height, uint48 time, uint48 origin, uint48 postedAt,) = lightClient.head();
        Announcement memory last = announcement;
        if (_isFallback(last, height)) revert AlreadyFallback();
        if (_isAnnounced(last, time, origin)) revert AlreadyAnnounced();
        if (overdueMessage == STALL) {
            uint256 until = uint256(postedAt) + stall;
            if (block.number <= until) revert NotStalled(postedAt, until);
        } else {
            uint64 sent = message(overdueMessage).blockNumber;
            uint256 until = uint256(sent) + overdue;
            if (block.number <= until) revert NotOverdue(until);
            if (sent <= origin) revert TakenIn(sent, origin);
        }
        announcement = Announcement(
            overdueMessage, uint48(block.number), uint48(block.timestamp), 0, Phase.Announced
        );
        emit FallbackAnnounced(overdueMessage);
    }

    /// @notice Turns fallback on, from the grace after its announcement on, unless that is void. The
    /// next header that is posted ends it.
    function activate() external {
        (uint64 height, uint48 time, uint48 origin,,) = lightClient.head();
        Announcement memory last = announcement;
        if (!_isAnnounced(last, time, origin)) revert NotAnnounced();
        uint256 from = uint256(last.blockNumber) + grace;
        if (block.number < from) revert TooEarly(from);
        (announcement.height, announcement.phase) = (height, Phase.Activated);
        emit FallbackActivated(height, origin);
    }

    /// @notice Whether an announcement stands: made, not activated, not void.
    function isAnnounced() external view returns (bool) {
        (, uint48 time, uint48 origin,,) = lightClient.head();
        return _isAnnounced(announcement, time, origin);
    }

    /// @notice Whether fallback is on.
    function isFallback() external view returns (bool) {
        (uint64 height,,,,) = lightClient.head();
        return _isFallback(announcement, height);
    }

    /// @notice Messages so far.
    function count() external view returns (uint64) {
        return _tally.count;
    }

    /// @notice What is kept of a message: L1 block, its time (s), namespace.
    /// @param index Its number over all namespaces, from 0.
    function message(uint64 index) public view returns (Message memory) {
        if (index >= _tally.count) revert NoSuchMessage(index, _tally.count);
        return _messages[index];
    }

    /// @notice What a message costs, wei.
    /// @param length Its bytes.
    function feeOf(uint256 length) public view returns (uint256) {
        return feePerMessage + feePerByte * length;
    }

    /// @dev One about a stall is void once there is a header of its time or later, one about a message
    /// once the head's origin has reached the message.
    function _isAnnounced(Announcement memory last, uint48 time, uint48 origin)
        private
        view
        returns (bool)
    {
        if (last.phase != Phase.Announced) return false;
        if (last.message == STALL) return time < uint256(last.timestamp) * 1000;
        return origin < _messages[last.message].blockNumber;
    }

    /// @dev Heights only rise: another height than at the activation is another header.
    function _isFallback(Announcement memory last, uint64 height) private pure returns (bool) {
        return last.phase == Phase.Activated && last.height == height;
    }
}
