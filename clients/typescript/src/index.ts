/** Bids for the heads of slices on Weft. */

export { type Bid, type BidPlace, DEFAULT_MAX_FEE, bid, withdrawBid } from "./bid.ts";
export {
  type Bundle, type BundleOffer, type EthBundle, type MevBundle, type WeftField, ethBundle, legsOf, mevBundle,
} from "./bundle.ts";
export type { Hex } from "./bytes.ts";
export { type AuctionsOptions, Client, type ClientOptions, type Submission } from "./client.ts";
export {
  EncodingError, type InvalidReason, InvalidTransaction, NodeError, NotAccepted, type Outcome, WeftError,
} from "./errors.ts";
export { chainIdOf } from "./ethereum.ts";
export { Key } from "./key.ts";
export {
  type AuctionResult, type BidResult, type DecidedBundle, type Decision, type OpenedBid, type ProvenResult,
  type SoldLot, decodeProvenResult, detailOf, resultsRootOf, verifyResult,
} from "./results.ts";
export {
  type BidMode, type Leg, type Payload, type Transaction, type TransactionBody, type Witness, decodeTransaction, encodeTransaction,
  transactionId, verifyTransaction,
} from "./transaction.ts";
export type {
  Account, Auction, AuctionEvent, Lots, Receipt, Status, TransactionStatus,
} from "./views.ts";
