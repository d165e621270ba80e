/** All kinds of vectors. */

import { batchKind } from "./batch.ts";
import { blockKind, proposedBlockKind } from "./block.ts";
import { certificateKind } from "./certificate.ts";
import { committeeKind } from "./committee.ts";
import { eventsKind } from "./events.ts";
import { evidenceKind } from "./evidence.ts";
import { genesisKind } from "./genesis.ts";
import { headerKind } from "./header.ts";
import type { Kind } from "./kind.ts";
import { ledgerGenesisKind, ledgerStateKind } from "./ledger.ts";
import { legsKind } from "./legs.ts";
import { pathKind, treeKind } from "./merkle.ts";
import { observationKind } from "./observation.ts";
import { observationSetKind } from "./observation-set.ts";
import { provenSliceKind, sliceProofKind } from "./proof.ts";
import { provenEntryKind } from "./proven-entry.ts";
import { receiptKind } from "./receipt.ts";
import { provenResultKind, resultsKind } from "./results.ts";
import { signingKind } from "./signature.ts";
import { slicesKind } from "./slice.ts";
import { transactionKind } from "./transaction.ts";
import { proposalKind, voteKind } from "./vote.ts";
import { provenWithdrawalKind } from "./withdrawal.ts";

/** Every kind and, by that name, its file. */
export const KINDS: { [name: string]: Kind<any> } = {
  batch: batchKind,
  block: blockKind,
  certificate: certificateKind,
  committee: committeeKind,
  events: eventsKind,
  evidence: evidenceKind,
  genesis: genesisKind,
  header: headerKind,
  ledger_genesis: ledgerGenesisKind,
  ledger_state: ledgerStateKind,
  legs: legsKind,
  merkle_path: pathKind,
  merkle_tree: treeKind,
  observation: observationKind,
  observation_set: observationSetKind,
  proposal: proposalKind,
  proposed_block: proposedBlockKind,
  proven_entry: provenEntryKind,
  proven_result: provenResultKind,
  proven_slice: provenSliceKind,
  proven_withdrawal: provenWithdrawalKind,
  receipt: receiptKind,
  results: resultsKind,
  signing: signingKind,
  slice_proof: sliceProofKind,
  slices: slicesKind,
  transaction: transactionKind,
  vote: voteKind,
};
