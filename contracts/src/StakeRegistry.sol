// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Evidence} from "./Evidence.sol";
import {Payments} from "./Payments.sol";
import {Signatures} from "./Signatures.sol";

/// @title StakeRegistry
/// @notice Bonds of validators, exits and slashing (spec/ethereum.md, Stake registry).
contract StakeRegistry {
    /// @notice Where a validator stands.
    enum Status {
        /// Never bonded, or withdrawn.
        None,
        /// Its stake counts.
        Bonded,
        /// Its stake does not count any more and can still be slashed.
        Exiting,
        /// Proven guilty, for good.
        Slashed
    }

    /// @notice A validator's bond. What slashing reads and writes is one slot.
    struct Bond {
        /// Whose money it is.
        address owner;
        /// The bond, wei. 2^88 is more than twice of all ether.
        uint88 amount;
        /// Where the validator stands.
        Status status;
        /// When an exiting bond can be withdrawn, s, L1 time.
        uint64 withdrawableAt;
    }

    /// @notice What counts of a validator changed.
    /// @param validator The validator.
    /// @param stake The stake that counts from now on, wei.
    event StakeChanged(address indexed validator, uint256 stake);
    /// @notice A validator was slashed.
    /// @param validator The validator.
    /// @param reporter Who proved the fault.
    /// @param amount The bond that was lost, wei, of which the reporter got a twentieth.
    event Slashed(address indexed validator, address indexed reporter, uint256 amount);

    /// @notice The bond would be below the least, both in wei.
    error BondTooSmall(uint256 amount, uint256 least);
    /// @notice The bond would be above 2^88 - 1 wei.
    error BondTooLarge(uint256 amount);
    /// @notice A top-up without value.
    error NothingSent();
    /// @notice The possession is signed by somebody else than the validator.
    error NotPossessed(address validator, address signer);
    /// @notice The sender is not the bond's owner.
    error NotOwner(address sender, address owner);
    /// @notice The validator does not stand where it would have to.
    error WrongStatus(address validator, Status status);
    /// @notice The exit delay has not passed: the bond can be withdrawn at `withdrawableAt`, s.
    error TooEarly(uint256 withdrawableAt);

    /// @notice What part of a slashed bond the reporter gets: one in so many.
    uint256 public constant REWARD_PART = 20;

    /// @notice The network whose signatures are evidence.
    uint64 public immutable chainId;
    /// @notice The least bond, wei.
    uint256 public immutable leastBond;
    /// @notice How long after its exit a bond can be slashed at least, s.
    uint48 public immutable exitDelay;

    /// @notice The bond of a validator: owner, amount (wei), status, when it can be withdrawn (s).
    mapping(address validator => Bond) public bonds;

    bytes32 private constant BOND_TAG = keccak256("weft/bond/v1");

    /// @param chainId_ The network whose signatures are evidence.
    /// @param leastBond_ The least bond, wei.
    /// @param exitDelay_ How long after its exit a bond can be slashed at least, s.
    constructor(uint64 chainId_, uint256 leastBond_, uint48 exitDelay_) {
        chainId = chainId_;
        leastBond = leastBond_;
        exitDelay = exitDelay_;
    }

    /// @notice Bonds a validator with the value sent; the sender owns the bond (spec/ethereum.md, Stake
    /// registry).
    /// @param validator The validator, not bonded and never slashed.
    /// @param possession Its signature over `possessionHash(owner)` of the sender.
    function bond(address validator, bytes calldata possession) external payable {
        Bond storage kept = bonds[validator];
        if (kept.status != Status.None) revert WrongStatus(validator, kept.status);
        if (msg.value < leastBond) revert BondTooSmall(msg.value, leastBond);
        address signer = Signatures.recover(possessionHash(msg.sender), possession);
        if (signer != validator) revert NotPossessed(validator, signer);
        kept.owner = msg.sender;
        kept.status = Status.Bonded;
        kept.amount = _amount(msg.value);
        emit StakeChanged(validator, msg.value);
    }

    /// @notice Adds the value sent to a bond that counts. The sender is its owner.
    /// @param validator The validator.
    function topUp(address validator) external payable {
        Bond storage kept = _owned(validator);
        if (msg.value == 0) revert NothingSent();
        uint256 amount = kept.amount + msg.value;
        kept.amount = _amount(amount);
        emit StakeChanged(validator, amount);
    }

    /// @notice Ends a validator's service. Its stake stops counting at once; the bond can be slashed
    /// until it is withdrawn, which is possible after the exit delay. The sender is its owner.
    /// @param validator The validator.
    function exit(address validator) external {
        Bond storage kept = _owned(validator);
        kept.status = Status.Exiting;
        kept.withdrawableAt = uint64(block.timestamp) + exitDelay;
        emit StakeChanged(validator, 0);
    }

    /// @notice Pays a bond back to its owner once the exit delay has passed. Anybody may call.
    /// @param validator The validator, which may be bonded again afterwards.
    function withdraw(address validator) external {
        Bond memory kept = bonds[validator];
        if (kept.status != Status.Exiting) revert WrongStatus(validator, kept.status);
        if (block.timestamp < kept.withdrawableAt) revert TooEarly(kept.withdrawableAt);
        delete bonds[validator];
        Payments.send(kept.owner, kept.amount);
    }

    /// @notice Takes the bond of a validator that signed two different bodies for one slot
    /// (protocol.md, section 3). A twentieth goes to the sender, the rest stays here for good.
    /// @param kind 2 batch, 3 observation, 4 proposal, 5 vote.
    /// @param slot The slot's bytes: 12, 8, 13 or 13.
    /// @param bodyA Body hash of one message, the lower of the two.
    /// @param signatureA Its signature.
    /// @param bodyB Body hash of the other.
    /// @param signatureB Its signature.
    function slash(
        uint8 kind,
        bytes calldata slot,
        bytes32 bodyA,
        bytes calldata signatureA,
        bytes32 bodyB,
        bytes calldata signatureB
    ) external {
        address validator = Evidence.check(
            chainId, kind, slot, bodyA, signatureA, bodyB, signatureB
        );
        Bond storage kept = bonds[validator];
        (Status status, uint256 amount) = (kept.status, kept.amount);
        if (status != Status.Bonded && status != Status.Exiting) {
            revert WrongStatus(validator, status);
        }
        kept.owner = address(0);
        kept.amount = 0;
        kept.status = Status.Slashed;
        emit StakeChanged(validator, 0);
        emit Slashed(validator, msg.sender, amount);
        Payments.send(msg.sender, amount / REWARD_PART);
    }

    /// @notice The stake of a validator that counts, wei.
    /// @param validator The validator.
    function stakeOf(address validator) external view returns (uint256) {
        Bond storage kept = bonds[validator];
        return kept.status == Status.Bonded ? kept.amount : 0;
    }

    /// @notice What a validator signs to have `owner` bond it here.
    /// @param owner Who will send the bond.
    function possessionHash(address owner) public view returns (bytes32) {
        bytes32 body = keccak256(abi.encodePacked(address(this), owner));
        return keccak256(abi.encodePacked(BOND_TAG, chainId, body));
    }

    /// @dev The bond of a validator that is bonded by the sender.
    function _owned(address validator) private view returns (Bond storage kept) {
        kept = bonds[validator];
        if (kept.status != Status.Bonded) revert WrongStatus(validator, kept.status);
        if (kept.owner != msg.sender) revert NotOwner(msg.sender, kept.owner);
    }

    function _amount(uint256 amount) private pure returns (uint88) {
        if (amount > type(uint88).max) revert BondTooLarge(amount);
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint88(amount);
    }
}
