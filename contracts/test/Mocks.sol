// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// A light client that says what it is told.
contract LightClientMock {
    struct Head {
        uint64 height;
        uint48 time;
        uint48 origin;
        uint48 postedAt;
        uint48 stored;
    }

    Head public head;
    mapping(uint256 place => bytes32) public root;

    function setRoot(uint256 place, bytes32 value) external {
        root[place] = value;
    }

    /// A header is posted in this L1 block; `time` in ms.
    function post(uint256 height, uint256 time, uint256 origin) external {
        head = Head(uint64(height), uint48(time), uint48(origin), uint48(block.number), 0);
    }
}

/// Takes no wei.
contract Refuser {}

/// Takes wei, and answers with as much as it can.
contract Chatterbox {
    receive() external payable {
        assembly ("memory-safe") {
            return(0, 1000000)
        }
    }
}

/// Calls something as soon as it is paid, and remembers what came of it.
contract Reenterer {
    address public target;
    bytes public call;
    bool public taken;
    bytes public reason;
    uint256 public payments;

    function arm(address target_, bytes calldata call_) external {
        (target, call) = (target_, call_);
    }

    /// Does what its deployer wants.
    function run(address target_, uint256 value, bytes calldata call_) external payable {
        (bool ok, bytes memory answer) = target_.call{value: value}(call_);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
    }

    receive() external payable {
        payments++;
        if (call.length > 0 && payments == 1) (taken, reason) = target.call(call);
    }
}
