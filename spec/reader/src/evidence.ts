/** Evidence: two signatures of one validator in one slot (protocol section 3). */

import { type Bytes, compare, equal, toHex } from "./bytes.ts";
import { type Codec, type Of, hash, struct } from "./borsh.ts";
import type { Kind } from "./kind.ts";
import { refuseIf, within } from "./refusal.ts";
import { showSigning, signature, signer, slot } from "./signature.ts";

interface Message {
  bodyHash: Bytes;
  signature: Bytes;
}

const message: Codec<Message> = {
  read: (input) => ({ bodyHash: hash.read(input), signature: signature.read(input) }),
  write(output, value) {
    hash.write(output, value.bodyHash);
    signature.write(output, value.signature);
  },
  show: (value) => [toHex(value.bodyHash), toHex(value.signature)],
};

const evidence = struct({ slot, first: message, second: message });

/** Kinds of which a validator may sign any number. */
const NOT_SLASHABLE = ["transaction", "peer", "bond"];

export const evidenceKind: Kind<Of<typeof evidence>> = {
  codec: evidence,
  hashes({ slot, first, second }, context) {
    const show = (of: Message) => showSigning(slot, context.number("chain_id"), of.bodyHash);
    return { first: show(first), second: show(second) };
  },
  judge({ slot, first, second }, context) {
    refuseIf(NOT_SLASHABLE.includes(slot.is), "not_slashable");
    refuseIf(compare(first.bodyHash, second.bodyHash) >= 0, "not_ascending");
    const who = (of: Message) =>
      within("signature", () => signer(slot, context.number("chain_id"), of.bodyHash, of.signature));
    const guilty = who(first);
    refuseIf(!equal(guilty, who(second)), "two_signers");
    return toHex(guilty);
  },
};
