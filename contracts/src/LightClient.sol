// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Certificates} from "./Certificates.sol";
import {Headers} from "./Headers.sol";

/// @title LightClient
/// @notice Follows the network's headers by their certificates and keeps the withdrawals roots they
/// carry (spec/ethereum.md, Light client). Anybody may post.
contract LightClient {
    using Headers for bytes;

    /// @notice The newest header taken. Packed into one slot: `post` reads and writes it as a whole.
    struct Head {
        /// Its height.
        uint64 height;
        /// Its time, ms since 1970.
        uint48 time;
        /// Number of the L1 block up to which it has taken in L1.
        uint48 origin;
        /// L1 block in which it was posted.
        uint48 postedAt;
        /// Roots stored so far; the newest is at place `(stored - 1) % 1024`.
        uint48 stored;
    }

    /// @notice A header was taken.
    /// @param height Its height.
    /// @param id Its block id.
    /// @param poster Who posted it.
    event Posted(uint64 indexed height, bytes32 id, address indexed poster);
    /// @notice A withdrawals root that differs from the last was stored.
    /// @param place Where `root` finds it, 0 to 1023.
    /// @param root The root.
    event RootStored(uint256 indexed place, bytes32 root);

    /// @notice The header is another network's.
    error WrongChain(uint64 chainId);
    /// @notice The height is not above the head's.
    error HeightNotAbove(uint64 height, uint64 head);
    /// @notice The time is not above the head's, both in ms.
    error TimeNotAbove(uint64 time, uint64 head);
    /// @notice The time is more than `MAX_AHEAD` after this L1 block's, both in ms.
    error TimeAhead(uint64 time, uint256 l1Time);
    /// @notice The L1 origin is below the head's.
    error OriginBelow(uint64 origin, uint64 head);
    /// @notice The L1 origin is a block that L1 does not have yet.
    error OriginAhead(uint64 origin, uint256 l1Block);
    /// @notice The header is of another committee than the trusted one.
    error WrongValidators(bytes32 validatorsHash, bytes32 trusted);
    /// @notice The committee given is not the trusted one.
    error WrongCommittee(bytes32 committeeHash, bytes32 trusted);
    /// @notice The head's time is longer ago than the trusting period. `until` is the last second, L1
    /// time, at which a header could have been posted.
    error Expired(uint256 until);
    /// @notice The ring has places 0 to 1023.
    error NoSuchPlace(uint256 place);

    /// @notice How many roots are kept.
    uint256 public constant RING = 1024;
    /// @notice How far a header's time may be ahead of L1's, s.
    uint256 public constant MAX_AHEAD = 10 minutes;

    /// @notice The network.
    uint64 public immutable chainId;
    /// @notice How long after the head's time a header is still taken, s. It has to be shorter than the
    /// registry's exit delay.
    uint48 public immutable trustingPeriod;

    /// @notice The newest header taken: height, time (ms), L1 origin, L1 block it was posted in, roots
    /// stored so far.
    Head public head;
    /// @notice Hash of the committee of the height after the head's.
    bytes32 public next;

    bytes32[RING] private _roots;

    /// @param chainId_ The network.
    /// @param committee Hash of the first committee.
    /// @param genesisTime Time of the genesis, ms since 1970.
    /// @param origin Number of the genesis' L1 origin.
    /// @param trustingPeriod_ How long after the head's time a header is still taken, s.
    constructor(
        uint64 chainId_,
        bytes32 committee,
        uint48 genesisTime,
        uint48 origin,
        uint48 trustingPeriod_
    ) {
        chainId = chainId_;
        trustingPeriod = trustingPeriod_;
        next = committee;
        head = Head(0, genesisTime, origin, uint48(block.number), 0);
    }

    /// @notice Takes a header that a quorum of the trusted committee has certified (spec/ethereum.md,
    /// Light client). Heights may be skipped while the committee stays. A header's version is not
    /// looked at: the tag that its id is made with stands for its layout, whatever else changes.
    /// @param header Its 454 bytes.
    /// @param round The certificate's round.
    /// @param committee The members, `(address 20 || seats u64)*`.
    /// @param votes Their precommits, `(member u16 || signature 65)*`, strictly ascending by member.
    function post(
        bytes calldata header,
        uint32 round,
        bytes calldata committee,
        bytes calldata votes
    ) external {
        bytes32 id = header.id();
        Head storage last = head;
        if (header.chainId() != chainId) revert WrongChain(header.chainId());
        uint64 height = header.height();
        if (height <= last.height) revert HeightNotAbove(height, last.height);
        uint64 time = header.time();
        if (time <= last.time) revert TimeNotAbove(time, last.time);
        uint64 origin = header.origin();
        if (origin < last.origin) revert OriginBelow(origin, last.origin);
        if (origin > block.number) revert OriginAhead(origin, block.number);
        unchecked {
            // L1's time and 48 bits times 1000 are far from 2^256.
            uint256 l1Time = block.timestamp * 1000;
            if (time > l1Time + MAX_AHEAD * 1000) revert TimeAhead(time, l1Time);
            uint256 until = last.time + uint256(trustingPeriod) * 1000;
            if (l1Time > until) revert Expired(until / 1000);
        }

        bytes32 trusted = next;
        bytes32 validators = header.validatorsHash();
        if (validators != trusted) revert WrongValidators(validators, trusted);
        bytes32 given = Certificates.committeeHash(committee);
        if (given != trusted) revert WrongCommittee(given, trusted);
        Certificates.check(Certificates.precommitHash(chainId, height, round, id), committee, votes);

        bytes32 following = header.nextValidatorsHash();
        if (following != trusted) next = following;
        uint48 stored = last.stored;
        bytes32 withdrawals = header.withdrawalsRoot();
        unchecked {
            // Before the first root the last place is read, which is empty.
            if (withdrawals != _roots[(uint256(stored) - 1) % RING]) {
                uint256 place = stored % RING;
                _roots[place] = withdrawals;
                ++stored;
                emit RootStored(place, withdrawals);
            }
        }
        // No cast loses anything: neither L1's time in ms nor its block number comes near 2^48, and the
        // header's are at most that and ten minutes.
        // forge-lint: disable-next-line(unsafe-typecast)
        head = Head(height, uint48(time), uint48(origin), uint48(block.number), stored);
        emit Posted(height, id, msg.sender);
    }

    /// @notice The withdrawals root at a place of the ring; zero if there has been none.
    /// @param place 0 to 1023, as told by `RootStored`.
    function root(uint256 place) external view returns (bytes32) {
        if (place >= RING) revert NoSuchPlace(place);
        return _roots[place];
    }
}
