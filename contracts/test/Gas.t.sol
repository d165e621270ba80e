// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "../src/Inbox.sol";
import {LightClient} from "../src/LightClient.sol";
import {StakeRegistry} from "../src/StakeRegistry.sol";
import {Vault} from "../src/Vault.sol";
import {LightClientMock} from "./Mocks.sol";
import {Header, Network} from "./Network.sol";
import {vm} from "./Vm.sol";

/// What whole transactions cost: 21000, calldata, execution from cold storage, less refunds, and not
/// below the floor that calldata has (EIP-7623). Each call is a transaction of its own here. These
/// tests, and no others, are in `.gas-snapshot`.
///
/// forge-config: default.isolate = true
contract GasTest is Network {
    uint64 internal constant CHAIN = 1477;
    uint64 internal constant NOW = 1_790_000_000;
    uint64 internal constant L1 = 23_456_789;
    uint64 internal constant STALL = type(uint64).max;
    uint256 internal constant KEY = 100;
    address internal constant REPORTER = address(0xbeef);

    LightClientMock internal client;
    StakeRegistry internal registry;
    Vault internal vault;
    Inbox internal inbox;
    address internal validator;

    function setUp() public {
        vm.warp(NOW);
        vm.roll(L1);
        client = new LightClientMock();
        client.post(1_234_567, (NOW - 10) * 1000, L1 - 70);
        registry = new StakeRegistry(CHAIN, 32 ether, 14 days);
        vault = new Vault(LightClient(address(client)));
        inbox = new Inbox(vault, LightClient(address(client)), 1e12, 1e9, 300, 600, 1800);
        validator = vm.addr(KEY);
        vm.deal(address(this), 1000 ether);
        // Both have existed for long, and hold wei.
        vm.deal(REPORTER, 1 ether);
        vault.endow{value: 100 ether}();
    }

    receive() external payable {}

    function test_bond() public {
        _send("bond", address(registry), 32 ether, _bonding());
    }

    function test_topUp() public {
        _do(address(registry), 32 ether, _bonding());
        bytes memory call = abi.encodeCall(StakeRegistry.topUp, (validator));
        _send("topUp", address(registry), 1 ether, call);
    }

    function test_exit() public {
        _do(address(registry), 32 ether, _bonding());
        _send("exit", address(registry), 0, abi.encodeCall(StakeRegistry.exit, (validator)));
    }

    function test_withdraw() public {
        _do(address(registry), 32 ether, _bonding());
        _do(address(registry), 0, abi.encodeCall(StakeRegistry.exit, (validator)));
        vm.warp(NOW + 14 days);
        bytes memory call = abi.encodeCall(StakeRegistry.withdraw, (validator));
        _send("withdraw", address(registry), 0, call);
    }

    function test_slash() public {
        _do(address(registry), 32 ether, _bonding());
        bytes memory slot = voteSlot(PRECOMMIT, 1_234_567, 0);
        (bytes32 a, bytes32 b) = (keccak256("one"), keccak256("another"));
        if (a > b) (a, b) = (b, a);
        bytes memory signatureA = sign(KEY, signingHash("vote", CHAIN, slot, a));
        bytes memory signatureB = sign(KEY, signingHash("vote", CHAIN, slot, b));
        bytes memory call =
            abi.encodeCall(StakeRegistry.slash, (5, slot, a, signatureA, b, signatureB));
        uint256 gas = _send("slash, two votes", address(registry), 0, call);
        vm.assertLe(gas, 80_000);
    }

    function test_deposit() public {
        bytes memory call = abi.encodeCall(Vault.deposit, (validator));
        _send("deposit", address(vault), 1 ether, call);
    }

    function test_endow() public {
        _send("endow", address(vault), 1 ether, abi.encodeCall(Vault.endow, ()));
    }

    function test_claimFirstOfAWord() public {
        _send("claim, first of 256 neighbours, 20 siblings", address(vault), 0, _claiming(700_000));
    }

    function test_claim() public {
        _do(address(vault), 0, _claiming(700_001));
        _send("claim, a later one", address(vault), 0, _claiming(700_000));
    }

    function test_force100() public {
        _force("force, 100 bytes", 100);
    }

    function test_force16KiB() public {
        _force("force, 16 KiB", 16_384);
    }

    function test_announce() public {
        vm.roll(L1 + 1000);
        _send("announce", address(inbox), 0, abi.encodeCall(Inbox.announce, (STALL)));
    }

    function test_announceAgain() public {
        vm.roll(L1 + 1000);
        _do(address(inbox), 0, abi.encodeCall(Inbox.announce, (STALL)));
        client.post(1_234_568, (NOW + 10) * 1000, L1);
        vm.roll(L1 + 2000);
        _send("announce, not the first", address(inbox), 0, abi.encodeCall(Inbox.announce, (STALL)));
    }

    function test_activate() public {
        vm.roll(L1 + 1000);
        _do(address(inbox), 0, abi.encodeCall(Inbox.announce, (STALL)));
        vm.roll(L1 + 2800);
        _send("activate", address(inbox), 0, abi.encodeCall(Inbox.activate, ()));
    }

    function test_post004() public {
        vm.assertLe(_post("post, 3 of 4", 4, false), 60_000);
    }

    function test_post010() public {
        _post("post, 7 of 10", 10, false);
    }

    function test_post025() public {
        _post("post, 17 of 25", 25, false);
    }

    function test_post050() public {
        _post("post, 34 of 50", 50, false);
    }

    function test_post100() public {
        vm.assertLe(_post("post, 67 of 100", 100, false), 450_000);
    }

    function test_post004WithARoot() public {
        _post("post, 3 of 4, another withdrawals root", 4, true);
    }

    function test_post100WithARoot() public {
        _post("post, 67 of 100, another withdrawals root", 100, true);
    }

    /// In the steady state: the ring of roots is full, the committee stays.
    function _post(string memory row, uint256 size, bool newRoot) private returns (uint256) {
        uint256[] memory keys = keysFrom(1000, size);
        bytes memory committee = committeeOf(keys);
        bytes32 hash = validatorsHashOf(committee);
        LightClient target =
            new LightClient(CHAIN, hash, uint48(NOW - 100) * 1000, uint48(L1 - 100), 7 days);
        bytes32 withdrawals = keccak256("withdrawals");
        vm.store(address(target), bytes32(uint256(2)), keccak256("1024 roots ago"));
        vm.store(
            address(target),
            bytes32(uint256(2 + 1023)),
            newRoot ? keccak256("the root before") : withdrawals
        );
        Header memory header = Header({
            version: 2,
            chainId: CHAIN,
            height: 1_234_567,
            time: (NOW - 10) * 1000,
            validatorsHash: hash,
            nextValidatorsHash: hash,
            origin: L1 - 70,
            withdrawalsRoot: withdrawals,
            others: keccak256("others")
        });
        bytes memory votes = certify(header, 0, keys, size * 2 / 3 + 1);
        bytes memory call = abi.encodeCall(LightClient.post, (encode(header), 0, committee, votes));
        return _send(row, address(target), 0, call);
    }

    function _force(string memory row, uint256 length) private {
        // Not the first message.
        _do(address(inbox), inbox.feeOf(1), abi.encodeCall(Inbox.force, (7001, hex"ff")));
        vm.roll(L1 + 1);
        bytes memory data;
        for (uint256 i = 0; data.length < length; i++) {
            data = bytes.concat(data, keccak256(abi.encode(i)));
        }
        assembly ("memory-safe") {
            mstore(data, length)
        }
        bytes memory call = abi.encodeCall(Inbox.force, (7001, data));
        _send(row, address(inbox), inbox.feeOf(length), call);
    }

    function _bonding() private view returns (bytes memory) {
        bytes memory possession = possess(KEY, CHAIN, address(registry), REPORTER);
        return abi.encodeCall(StakeRegistry.bond, (validator, possession));
    }

    /// Of a million: the siblings are anything.
    function _claiming(uint64 index) private returns (bytes memory) {
        uint64 count = 1_000_000;
        bytes32 hash = keccak256(
            bytes.concat(hex"00", bytes8(index), bytes20(REPORTER), bytes16(uint128(1e18)))
        );
        bytes32[] memory path = new bytes32[](20);
        uint256 width = count;
        uint256 used;
        for (uint256 i = index; width > 1; (i, width) = (i >> 1, (width + 1) >> 1)) {
            if (i & 1 == 0 && i + 1 == width) continue;
            path[used] = keccak256(abi.encode(used));
            hash = i & 1 == 1
                ? keccak256(bytes.concat(hex"01", path[used], hash))
                : keccak256(bytes.concat(hex"01", hash, path[used]));
            used++;
        }
        vm.assertEq(used, 20);
        client.setRoot(
            7, keccak256(bytes.concat(keccak256("weft/withdrawals/v1"), bytes8(count), hash))
        );
        return abi.encodeCall(Vault.claim, (index, REPORTER, 1e18, count, path, 7));
    }

    function _do(address to, uint256 value, bytes memory call) private {
        vm.deal(REPORTER, 100 ether);
        vm.prank(REPORTER);
        (bool taken,) = to.call{value: value}(call);
        vm.assertTrue(taken);
    }

    function _send(string memory row, address to, uint256 value, bytes memory call)
        private
        returns (uint256 gas)
    {
        _do(to, value, call);
        gas = vm.lastCallGas().gasTotalUsed;
        uint256 floor = 21_000;
        for (uint256 i = 0; i < call.length; i++) {
            floor += call[i] == 0 ? 10 : 40;
        }
        if (gas < floor) gas = floor;
        _measured(row, gas);
    }

    function _measured(string memory row, uint256 gas) internal virtual {}
}

/// The same, compared with the table in the README. Apart from the above, whose own gas must not
/// depend on what else the README says.
///
/// forge-config: default.isolate = true
contract GasTableTest is GasTest {
    function _measured(string memory row, uint256 gas) internal override {
        string memory line = string.concat("| ", row, " | ", vm.toString(gas), " |");
        vm.assertTrue(vm.contains(vm.readFile("README.md"), line), line);
    }
}
