// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {LightClient} from "./LightClient.sol";
import {Payments} from "./Payments.sol";
import {Trees} from "./Trees.sol";

/// @title Vault
/// @notice Holds the wei behind the network's balances (spec/ethereum.md, Vault).
contract Vault {
    /// @notice Wei was deposited, for the network to credit.
    /// @param to Whom to credit.
    /// @param amount How much, wei.
    event Deposited(address indexed to, uint256 amount);
    /// @notice A withdrawal was paid.
    /// @param index Its index.
    /// @param to Whom.
    /// @param amount How much, wei.
    event Claimed(uint64 indexed index, address indexed to, uint256 amount);

    /// @notice A deposit without value.
    error NothingSent();
    /// @notice The withdrawal has been paid.
    error AlreadyClaimed(uint64 index);
    /// @notice The path leads to another commitment than the root at the place.
    error WrongRoot(bytes32 commitment, bytes32 root);

    /// @notice Whose withdrawals roots are believed.
    LightClient public immutable lightClient;

    bytes32 private constant WITHDRAWALS_TAG = keccak256("weft/withdrawals/v1");

    /// @dev Bit `index % 256` of word `index / 256`: neighbours share a slot.
    mapping(uint256 word => uint256 bits) private _claimed;

    /// @param lightClient_ Whose withdrawals roots are believed.
    constructor(LightClient lightClient_) {
        lightClient = lightClient_;
    }

    /// @notice Deposits the value sent, above 0.
    /// @param to Whom the network credits.
    function deposit(address to) external payable {
        if (msg.value == 0) revert NothingSent();
        emit Deposited(to, msg.value);
    }

    /// @notice Takes the value sent as backing of balances that came about otherwise: those of the
    /// genesis, and fees of the inbox.
    function endow() external payable {}

    /// @notice Pays a withdrawal to its receiver, whoever calls (spec/ethereum.md, Vault).
    /// @param index The withdrawal's index among all, from 0.
    /// @param to Its receiver.
    /// @param amount Its amount, wei.
    /// @param count How many withdrawals the root commits to.
    /// @param path The siblings from its leaf up, lowest first.
    /// @param place Where the light client has the root.
    function claim(
        uint64 index,
        address to,
        uint128 amount,
        uint64 count,
        bytes32[] calldata path,
        uint256 place
    ) external {
        (uint256 word, uint256 bit) = (index / 256, 1 << (index % 256));
        uint256 bits = _claimed[word];
        if (bits & bit != 0) revert AlreadyClaimed(index);
        bytes32 leaf = Trees.leaf(abi.encodePacked(index, to, amount));
        bytes32 commitment =
            Trees.commitment(WITHDRAWALS_TAG, Trees.root(leaf, index, count, path), count);
        bytes32 root = lightClient.root(place);
        if (commitment != root) revert WrongRoot(commitment, root);
        _claimed[word] = bits | bit;
        emit Claimed(index, to, amount);
        Payments.send(to, amount);
    }

    /// @notice Whether a withdrawal has been paid.
    /// @param index The withdrawal's index.
    function isClaimed(uint64 index) external view returns (bool) {
        return _claimed[index / 256] & (1 << (index % 256)) != 0;
    }
}
