/** Blocks, full and as proposed (protocol section 4). */

import { type Bytes, equal, toHex } from "./bytes.ts";
import { type Of, hash, list, struct } from "./borsh.ts";
import { batch, batchDigest } from "./batch.ts";
import { events, eventsDigest } from "./events.ts";
import { blockId, header } from "./header.ts";
import type { Kind } from "./kind.ts";
import { commitHashes } from "./merkle.ts";
import { observationHash } from "./observation.ts";
import { observationSet, observationsRoot } from "./observation-set.ts";
import { refuseIf } from "./refusal.ts";

const block = struct({ header, observations: observationSet, events: list(events), batches: list(batch) });
type Block = Of<typeof block>;

export function batchesRoot(digests: Bytes[]): Bytes {
  return commitHashes("weft/batches/v1", digests);
}

export function eventsRoot(digests: Bytes[]): Bytes {
  return commitHashes("weft/events/v1", digests);
}

function roots({ observations, events, batches }: Block): { observations: Bytes; events: Bytes; batches: Bytes } {
  return {
    observations: observationsRoot(observations.map(observationHash)),
    events: eventsRoot(events.map(eventsDigest)),
    batches: batchesRoot(batches.map(batchDigest)),
  };
}

export const blockKind: Kind<Block> = {
  codec: block,
  hashes(value) {
    const found = roots(value);
    return {
      id: toHex(blockId(value.header)),
      observations_root: toHex(found.observations),
      events_root: toHex(found.events),
      batches_root: toHex(found.batches),
    };
  },
  judge(value) {
    const found = roots(value);
    refuseIf(!equal(value.header.observations_root, found.observations), "observations_root");
    refuseIf(!equal(value.header.events_root, found.events), "events_root");
    refuseIf(!equal(value.header.batches_root, found.batches), "batches_root");
    return null;
  },
};

const proposedBlock = struct({ header, observations: list(hash) });

export const proposedBlockKind: Kind<Of<typeof proposedBlock>> = {
  codec: proposedBlock,
  hashes: (value) => ({
    id: toHex(blockId(value.header)),
    observations_root: toHex(observationsRoot(value.observations)),
  }),
  judge(value) {
    const root = observationsRoot(value.observations);
    refuseIf(!equal(value.header.observations_root, root), "observations_root");
    return null;
  },
};
