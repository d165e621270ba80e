// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Signatures
/// @notice Who signed a hash: 65 bytes `r || s || v`, `s` low, `v` 27 or 28 (protocol.md, section 3).
library Signatures {
    /// @notice The signature has another length than 65 bytes.
    error SignatureLength(uint256 length);
    /// @notice The last byte is neither 27 nor 28.
    error RecoveryByte(uint8 v);
    /// @notice `s` is above half of the group's order: the malleable twin of a valid signature.
    error HighS(bytes32 s);
    /// @notice No public key yields this signature for this hash.
    error Unrecoverable();

    /// @dev Length of a signature in bytes.
    uint256 internal constant LENGTH = 65;

    /// @dev Half the order of secp256k1, rounded down: the largest `s` that is low.
    uint256 internal constant HALF_ORDER =
        0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// @dev The address whose key signed `hash`, never zero.
    function recover(bytes32 hash, bytes calldata signature)
        internal
        pure
        returns (address signer)
    {
        if (signature.length != LENGTH) {
            revert SignatureLength(signature.length);
        }
        uint8 v = uint8(signature[64]);
        if (v != 27 && v != 28) revert RecoveryByte(v);
        bytes32 s = bytes32(signature[32:64]);
        if (uint256(s) > HALF_ORDER) revert HighS(s);
        signer = ecrecover(hash, v, bytes32(signature[:32]), s);
        if (signer == address(0)) revert Unrecoverable();
    }
}
