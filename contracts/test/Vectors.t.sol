// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Certificates} from "../src/Certificates.sol";
import {Evidence} from "../src/Evidence.sol";
import {Headers} from "../src/Headers.sol";
import {Signatures} from "../src/Signatures.sol";
import {StakeRegistry} from "../src/StakeRegistry.sol";
import {Harness} from "./Harness.sol";
import {NaiveTree} from "./NaiveTree.sol";
import {Header} from "./Network.sol";
import {Test} from "./Test.sol";
import {vm} from "./Vm.sol";

/// The golden vectors of spec/vectors: the contracts hash, accept and refuse as everybody else does.
/// Encodings are Borsh there, little-endian; what the contracts take is made of the same bytes.
contract VectorsTest is Test, NaiveTree {
    uint64 internal constant CHAIN = 1477;

    Harness private _harness;
    string private _json;

    function setUp() public {
        _harness = new Harness();
    }

    function test_header() public {
        uint256 count = _read("header");
        for (uint256 i = 0; i < count; i++) {
            bytes memory call = abi.encodeCall(Harness.header, (_bytes(i, ".borsh")));
            if (_isRefused(i)) {
                _refuse(call, Headers.HeaderLength.selector, i);
                continue;
            }
            (bool taken, bytes memory answer) = address(_harness).call(call);
            vm.assertTrue(taken, _name(i));
            (bytes32 id, Header memory header) = abi.decode(answer, (bytes32, Header));
            vm.assertEq(id, _bytes32(i, ".hashes.id"), _name(i));
            vm.assertEq(header.version, _uint(i, ".value.version"));
            vm.assertEq(header.chainId, _uint(i, ".value.chain_id"));
            vm.assertEq(header.height, _uint(i, ".value.height"));
            vm.assertEq(header.time, _uint(i, ".value.time_ms"));
            vm.assertEq(header.validatorsHash, _bytes32(i, ".value.validators_hash"));
            vm.assertEq(header.nextValidatorsHash, _bytes32(i, ".value.next_validators_hash"));
            vm.assertEq(header.origin, _uint(i, ".value.l1_origin.number"));
            vm.assertEq(
                header.withdrawalsRoot, _bytes32(i, ".value.parent_outcome.withdrawals_root")
            );
        }
        vm.assertTrue(count >= 6);
    }

    /// Whether members ascend and have seats is the business of those who name a committee in a
    /// header: here it is enough that it is the one they named.
    function test_committee() public {
        uint256 count = _read("committee");
        for (uint256 i = 0; i < count; i++) {
            bytes memory committee = _committeeOf(_bytes(i, ".borsh"));
            bytes memory call = abi.encodeCall(Harness.committeeHash, (committee));
            if (_isRefusedFor(i, "encoding")) {
                _refuse(call, Certificates.CommitteeLength.selector, i);
            } else {
                bytes32 expected = _bytes32(i, ".hashes.validators_hash");
                vm.assertEq(_harness.committeeHash(committee), expected, _name(i));
            }
            if (committee.length == 0) {
                call = abi.encodeCall(Harness.certificate, (0, "", ""));
                _refuse(call, Certificates.NoQuorum.selector, i);
            }
        }
        vm.assertTrue(count >= 12);
    }

    function test_certificate() public {
        uint256 count = _read("certificate");
        for (uint256 i = 0; i < count; i++) {
            // What is no encoding has no context either.
            bytes memory committee = _committeeInContext(_isRefusedFor(i, "encoding") ? 0 : i);
            bytes memory borsh = _bytes(i, ".borsh");
            bytes32 hash = _harness.precommitHash(
                CHAIN,
                uint64(_little(borsh, 0, 8)),
                uint32(_little(borsh, 8, 4)),
                bytes32(_slice(borsh, 12, 32))
            );
            bytes memory call =
                abi.encodeCall(Harness.certificate, (hash, committee, _votesOf(borsh)));
            if (!_isRefusedFor(i, "encoding")) {
                vm.assertEq(hash, _bytes32(i, ".hashes.signing.signing_hash"), _name(i));
                bytes32 expected = _bytes32(i, ".hashes.validators_hash");
                vm.assertEq(_harness.committeeHash(committee), expected, _name(i));
            }
            if (_isRefused(i)) _refuse(call, _selector(_reason(i)), i);
            else _take(call, i);
        }
        vm.assertTrue(count >= 21);
    }

    function test_evidence() public {
        uint256 count = _read("evidence");
        for (uint256 i = 0; i < count; i++) {
            (uint8 kind, bytes memory slot, bytes memory rest) = _slotOf(_bytes(i, ".borsh"));
            bytes memory second = _slice(rest, 97, rest.length - 97);
            bytes memory call = abi.encodeCall(
                Harness.evidence,
                (
                    CHAIN,
                    kind,
                    slot,
                    bytes32(rest),
                    _slice(rest, 32, 65),
                    bytes32(second),
                    _slice(second, 32, second.length - 32)
                )
            );
            if (_isRefusedFor(i, "encoding")) {
                bytes4 selector = kind > 5
                    ? Evidence.NotSlashable.selector
                    : second.length != 97
                        ? Signatures.SignatureLength.selector
                        : Evidence.NoSlot.selector;
                _refuse(call, selector, i);
            } else if (_isRefused(i)) {
                _refuse(call, _selector(_reason(i)), i);
            } else {
                address guilty = abi.decode(_take(call, i), (address));
                vm.assertEq(guilty, _address(i, ".verdict.accepted"), _name(i));
                _slash(guilty, call);
            }
        }
        vm.assertTrue(count >= 20);
    }

    function test_signing() public {
        uint256 count = _read("signing");
        uint256 slots;
        for (uint256 i = 0; i < count; i++) {
            bytes memory signature = _bytes(i, ".borsh");
            if (_isRefusedFor(i, "encoding")) {
                bytes memory short = abi.encodeCall(Harness.recover, (0, signature));
                _refuse(short, Signatures.SignatureLength.selector, i);
                continue;
            }
            bytes32 hash = _bytes32(i, ".hashes.signing.signing_hash");
            bytes memory call = abi.encodeCall(Harness.recover, (hash, signature));
            if (_isRefused(i)) {
                _refuse(call, _selector(string.concat("signature/", _reason(i))), i);
                continue;
            }
            address signer = _address(i, ".verdict.accepted");
            vm.assertEq(abi.decode(_take(call, i), (address)), signer, _name(i));

            // The same through the preimage that evidence is checked with: the first of two signers
            // that differ is the one expected.
            uint8 kind = uint8(_bytes(i, ".context.slot")[0]);
            if (kind < 2 || kind > 5) continue;
            (, bytes memory slot,) = _slotOf(_bytes(i, ".context.slot"));
            bytes32 body = _bytes32(i, ".hashes.signing.body_hash");
            call = abi.encodeCall(
                Harness.evidence,
                (
                    uint64(_uint(i, ".context.chain_id")),
                    kind,
                    slot,
                    body,
                    signature,
                    bytes32(type(uint256).max),
                    signature
                )
            );
            bytes memory reason = _refuse(call, Evidence.TwoSigners.selector, i);
            vm.assertEq(address(bytes20(_slice(reason, 16, 20))), signer, _name(i));
            slots++;
        }
        vm.assertTrue(count >= 21);
        vm.assertTrue(slots >= 8);
    }

    function test_merklePath() public {
        uint256 count = _read("merkle_path");
        uint256 checked;
        for (uint256 i = 0; i < count; i++) {
            if (_isRefusedFor(i, "encoding")) continue;
            bytes memory borsh = _bytes(i, ".borsh");
            bytes32[] memory path = new bytes32[](_little(borsh, 8, 4));
            for (uint256 j = 0; j < path.length; j++) {
                path[j] = bytes32(_slice(borsh, 12 + 32 * j, 32));
            }
            bytes32 leaf = _harness.leaf(_bytes(i, ".context.content"));
            vm.assertEq(leaf, _bytes32(i, ".hashes.leaf"), _name(i));
            bytes memory call = abi.encodeCall(
                Harness.root,
                (leaf, uint64(_little(borsh, 0, 8)), uint64(_uint(i, ".context.count")), path)
            );
            if (_isRefused(i)) {
                (bool taken,) = address(_harness).call(call);
                vm.assertFalse(taken, _name(i));
            } else {
                bytes32 root = abi.decode(_take(call, i), (bytes32));
                vm.assertEq(root, _bytes32(i, ".verdict.accepted"), _name(i));
            }
            checked++;
        }
        vm.assertTrue(checked >= 12);
    }

    function test_merkleTree() public {
        uint256 count = _read("merkle_tree");
        uint256 checked;
        for (uint64 i = 0; i < count; i++) {
            if (!same(_string(i, ".context.function"), "keccak256")) continue;
            uint64 leaves;
            while (vm.keyExistsJson(_json, _key(i, _index(".context.contents", leaves)))) {
                leaves++;
            }
            bytes32 root = _bytes32(i, ".hashes.root");
            bytes32 tag = keccak256(bytes(_string(i, ".context.tag")));
            bytes32 commitment = _harness.commitment(tag, root, leaves);
            vm.assertEq(commitment, _bytes32(i, ".hashes.commitment"), _name(i));
            bytes32[] memory hashes = new bytes32[](leaves);
            for (uint256 j = 0; j < leaves; j++) {
                hashes[j] = _harness.leaf(_bytes(i, _index(".context.contents", j)));
                vm.assertEq(hashes[j], _bytes32(i, _index(".hashes.leaves", j)), _name(i));
            }
            vm.assertEq(rootOf(hashes), root, _name(i));
            for (uint64 j = 0; j < leaves; j++) {
                bytes32[] memory path = vm.parseJsonBytes32Array(
                    _json, _key(i, string.concat(_index(".value", j), ".siblings"))
                );
                vm.assertEq(_harness.root(hashes[j], j, leaves, path), root, _name(i));
            }
            checked++;
        }
        vm.assertTrue(checked >= 10);
    }

    /// The same evidence in a registry takes a bond of the guilty validator, whose key nobody here has:
    /// the bond is written into storage.
    function _slash(address guilty, bytes memory call) private {
        StakeRegistry registry = new StakeRegistry(CHAIN, 1 ether, 1 days);
        vm.deal(address(registry), 20 ether);
        bytes32 place = keccak256(abi.encode(guilty, uint256(0)));
        uint256 status = uint256(uint8(StakeRegistry.Status.Bonded));
        vm.store(address(registry), place, bytes32(status << 248 | uint256(20 ether) << 160 | 7));
        vm.assertEq(registry.stakeOf(guilty), 20 ether);
        // Without the selector and the chain id, the arguments are those of `slash`, but for where
        // the three byte strings begin.
        (
            ,
            uint8 kind,
            bytes memory slot,
            bytes32 a,
            bytes memory signatureA,
            bytes32 b,
            bytes memory signatureB
        ) = abi.decode(
            _slice(call, 4, call.length - 4), (uint64, uint8, bytes, bytes32, bytes, bytes32, bytes)
        );
        vm.prank(address(0xbeef));
        registry.slash(kind, slot, a, signatureA, b, signatureB);
        (,, StakeRegistry.Status after_,) = registry.bonds(guilty);
        vm.assertTrue(after_ == StakeRegistry.Status.Slashed);
        vm.assertEq(address(registry).balance, 19 ether);
    }

    // From Borsh to what the contracts take

    function _little(bytes memory data, uint256 from, uint256 length)
        private
        pure
        returns (uint256 number)
    {
        for (uint256 i = 0; i < length; i++) {
            number |= uint256(uint8(data[from + i])) << (8 * i);
        }
    }

    function _reversed(bytes memory data, uint256 from, uint256 length)
        private
        pure
        returns (bytes memory reversed)
    {
        reversed = new bytes(length);
        for (uint256 i = 0; i < length; i++) {
            reversed[i] = data[from + length - 1 - i];
        }
    }

    function _slice(bytes memory data, uint256 from, uint256 length)
        private
        pure
        returns (bytes memory slice)
    {
        slice = new bytes(length);
        for (uint256 i = 0; i < length; i++) {
            slice[i] = data[from + i];
        }
    }

    /// Members one by one, and whatever is left over as it is.
    function _committeeOf(bytes memory borsh) private pure returns (bytes memory committee) {
        uint256 from = 4;
        for (; from + 28 <= borsh.length; from += 28) {
            committee =
                bytes.concat(committee, _slice(borsh, from, 20), _reversed(borsh, from + 20, 8));
        }
        return bytes.concat(committee, _slice(borsh, from, borsh.length - from));
    }

    function _committeeInContext(uint256 i) private view returns (bytes memory committee) {
        for (uint256 j = 0;; j++) {
            string memory member = _index(".context.committee", j);
            if (!vm.keyExistsJson(_json, _key(i, member))) return committee;
            committee = bytes.concat(
                committee,
                bytes20(_address(i, string.concat(member, ".address"))),
                bytes8(uint64(_uint(i, string.concat(member, ".seats"))))
            );
        }
    }

    /// Votes one by one, and whatever is left over as it is.
    function _votesOf(bytes memory borsh) private pure returns (bytes memory votes) {
        uint256 from = 48;
        for (; from + 67 <= borsh.length; from += 67) {
            votes = bytes.concat(votes, _reversed(borsh, from, 2), _slice(borsh, from + 2, 65));
        }
        return bytes.concat(votes, _slice(borsh, from, borsh.length - from));
    }

    /// A slot's kind and its column in the table of section 3, and what follows it.
    function _slotOf(bytes memory borsh)
        private
        pure
        returns (uint8 kind, bytes memory slot, bytes memory rest)
    {
        kind = uint8(borsh[0]);
        uint256 length = 1;
        if (kind == 2) {
            slot = bytes.concat(_reversed(borsh, 1, 4), _reversed(borsh, 5, 8));
            length = 13;
        } else if (kind == 3) {
            slot = _reversed(borsh, 1, 8);
            length = 9;
        } else if (kind == 4) {
            slot = bytes.concat(hex"00", _reversed(borsh, 1, 8), _reversed(borsh, 9, 4));
            length = 13;
        } else if (kind == 5 || borsh.length > 195) {
            // A tag that does not exist is given the longest slot.
            bytes memory first = _slice(borsh, 1, 1);
            slot = bytes.concat(first, _reversed(borsh, 2, 8), _reversed(borsh, 10, 4));
            length = 14;
        }
        rest = _slice(borsh, length, borsh.length - length);
    }

    function _selector(string memory reason) private pure returns (bytes4) {
        if (same(reason, "unsorted")) return Certificates.VotesUnsorted.selector;
        if (same(reason, "unknown_member")) return Certificates.UnknownMember.selector;
        if (same(reason, "no_quorum")) return Certificates.NoQuorum.selector;
        if (same(reason, "signature/wrong_signer")) return Certificates.WrongSigner.selector;
        if (same(reason, "signature/high_s")) return Signatures.HighS.selector;
        if (same(reason, "signature/recovery_byte")) return Signatures.RecoveryByte.selector;
        if (same(reason, "signature/unrecoverable")) return Signatures.Unrecoverable.selector;
        if (same(reason, "not_slashable")) return Evidence.NotSlashable.selector;
        if (same(reason, "not_ascending")) return Evidence.NotAscending.selector;
        if (same(reason, "two_signers")) return Evidence.TwoSigners.selector;
        // The same in another form: votes that are not whole.
        if (same(reason, "encoding")) return Certificates.VotesLength.selector;
        revert(reason);
    }

    // Calls

    function _take(bytes memory call, uint256 i) private returns (bytes memory answer) {
        bool taken;
        (taken, answer) = address(_harness).call(call);
        vm.assertTrue(taken, _name(i));
    }

    function _refuse(bytes memory call, bytes4 selector, uint256 i)
        private
        returns (bytes memory reason)
    {
        bool taken;
        (taken, reason) = address(_harness).call(call);
        vm.assertFalse(taken, _name(i));
        vm.assertEq(bytes32(selectorOf(reason)), bytes32(selector), _name(i));
    }

    // JSON

    /// Loads a file and counts its vectors.
    function _read(string memory kind) private returns (uint256 count) {
        _json = vm.readFile(string.concat("../spec/vectors/", kind, ".json"));
        while (vm.keyExistsJson(_json, _key(count, ".name"))) {
            count++;
        }
    }

    function _index(string memory list, uint256 j) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(j), "]");
    }

    function _key(uint256 i, string memory path) private pure returns (string memory) {
        return string.concat(_index(".vectors", i), path);
    }

    function _isRefused(uint256 i) private view returns (bool) {
        return vm.keyExistsJson(_json, _key(i, ".verdict.refused"));
    }

    function _isRefusedFor(uint256 i, string memory reason) private view returns (bool) {
        return _isRefused(i) && same(_reason(i), reason);
    }

    function _reason(uint256 i) private view returns (string memory) {
        return _string(i, ".verdict.refused");
    }

    function _name(uint256 i) private view returns (string memory) {
        return _string(i, ".name");
    }

    function _string(uint256 i, string memory path) private view returns (string memory) {
        return vm.parseJsonString(_json, _key(i, path));
    }

    function _uint(uint256 i, string memory path) private view returns (uint256) {
        return vm.parseJsonUint(_json, _key(i, path));
    }

    function _bytes(uint256 i, string memory path) private view returns (bytes memory) {
        return vm.parseJsonBytes(_json, _key(i, path));
    }

    function _bytes32(uint256 i, string memory path) private view returns (bytes32) {
        return vm.parseJsonBytes32(_json, _key(i, path));
    }

    function _address(uint256 i, string memory path) private view returns (address) {
        return vm.parseJsonAddress(_json, _key(i, path));
    }
}
