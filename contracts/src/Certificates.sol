// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Signatures} from "./Signatures.sol";

/// @title Certificates
/// @notice Whether a quorum of a committee has precommitted a block (protocol.md, sections 3 and 4).
/// @dev A committee is `(address 20 || seats u64)*`, votes are `(member u16 || signature 65)*`.
library Certificates {
    /// @notice The committee is not a whole number of members.
    error CommitteeLength(uint256 length);
    /// @notice The votes are not a whole number of votes.
    error VotesLength(uint256 length);
    /// @notice The vote of `member` does not come after those of all lower members.
    error VotesUnsorted(uint256 member);
    /// @notice The committee has no such member; it has `members`, counted from 0.
    error UnknownMember(uint256 member, uint256 members);
    /// @notice The vote of `member` is signed by somebody else.
    error WrongSigner(uint256 member, address expected, address actual);
    /// @notice Members of `seats` of `total` seats have signed, not more than two thirds.
    error NoQuorum(uint256 seats, uint256 total);

    /// @dev Bytes of a member.
    uint256 internal constant MEMBER = 28;
    /// @dev Bytes of a vote.
    uint256 internal constant VOTE = 67;

    bytes32 private constant VALIDATORS_TAG = keccak256("weft/validators/v1");
    bytes32 private constant VOTE_TAG = keccak256("weft/vote/v1");
    uint8 private constant PRECOMMIT = 2;

    /// @dev The hash that headers name a committee by.
    function committeeHash(bytes calldata committee) internal pure returns (bytes32 hash) {
        if (committee.length % MEMBER != 0) revert CommitteeLength(committee.length);
        uint256 members = committee.length / MEMBER;
        bytes32 tag = VALIDATORS_TAG;
        // Hashed beyond the free memory pointer without moving it.
        assembly ("memory-safe") {
            let preimage := mload(0x40)
            mstore(preimage, tag)
            mstore(add(preimage, 32), shl(224, members))
            calldatacopy(add(preimage, 36), committee.offset, committee.length)
            hash := keccak256(preimage, add(committee.length, 36))
        }
    }

    /// @dev What a precommit for block `id` signs.
    function precommitHash(uint64 chainId, uint64 height, uint32 round, bytes32 id)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(VOTE_TAG, chainId, PRECOMMIT, height, round, id));
    }

    /// @dev Refuses votes unless every one is right and together they are a quorum. `committee` has
    /// been hashed and found to be the trusted one: members that a quorum agreed on are not checked
    /// again for order or seats.
    function check(bytes32 hash, bytes calldata committee, bytes calldata votes) internal view {
        if (votes.length % VOTE != 0) revert VotesLength(votes.length);
        uint256 total;
        uint256 signed;
        uint256 least;
        uint256 read;
        uint256 halfOrder = Signatures.HALF_ORDER;
        // Paid once per member and once per vote: slices with their bounds checks, and fresh memory for
        // each call, would add to each. It is safe because what is read lies at fixed distances within
        // entries that are wholly inside their arrays, and what a word holds beyond its entry is
        // shifted out. Written are the scratch space and the 128 bytes after the free memory pointer,
        // which nothing else uses meanwhile.
        assembly ("memory-safe") {
            let end := add(committee.offset, committee.length)
            for { let seats := add(committee.offset, 20) } lt(seats, end) {
                seats := add(seats, MEMBER)
            } { total := add(total, shr(192, calldataload(seats))) }

            let input := mload(0x40)
            mstore(input, hash)
            let vote := votes.offset
            end := add(vote, votes.length)
            for {} lt(vote, end) { vote := add(vote, VOTE) } {
                let member := shr(240, calldataload(vote))
                let entry := mul(member, MEMBER)
                if or(lt(member, least), iszero(lt(entry, committee.length))) { break }
                if gt(calldataload(add(vote, 34)), halfOrder) { break }
                mstore(add(input, 0x20), byte(0, calldataload(add(vote, 66))))
                calldatacopy(add(input, 0x40), add(vote, 2), 0x40)
                // ecrecover writes nothing if it refuses: what was there has to be nobody.
                mstore(0, 0)
                pop(staticcall(gas(), 1, input, 0x80, 0, 0x20))
                entry := add(committee.offset, entry)
                let signer := shr(96, calldataload(entry))
                if or(iszero(signer), xor(signer, mload(0))) { break }
                signed := add(signed, shr(192, calldataload(add(entry, 20))))
                least := add(member, 1)
            }
            read := sub(vote, votes.offset)
        }
        if (read != votes.length) _explain(hash, committee, votes[read:read + VOTE], least);
        unchecked {
            if (signed * 3 <= total * 2) revert NoQuorum(signed, total);
        }
    }

    /// @dev Says what is wrong with a vote. Off the way of votes that are right, to keep it cheap.
    function _explain(bytes32 hash, bytes calldata committee, bytes calldata vote, uint256 least)
        private
        pure
    {
        uint256 member = uint16(bytes2(vote[:2]));
        uint256 members = committee.length / MEMBER;
        if (member >= members) revert UnknownMember(member, members);
        if (member < least) revert VotesUnsorted(member);
        address expected = address(bytes20(committee[member * MEMBER:member * MEMBER + 20]));
        revert WrongSigner(member, expected, Signatures.recover(hash, vote[2:]));
    }
}
