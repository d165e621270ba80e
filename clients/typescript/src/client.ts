/** The API of nodes (`spec/openapi.json`), of several at once. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Bundle } from "./bundle.ts";
import { fromHex, type Hex } from "./bytes.ts";
import { NodeError, NotAccepted, WeftError, type Outcome } from "./errors.ts";
import { type Request, ask, chunksOf, open, parse, weftError } from "./http.ts";
import { Json } from "./json.ts";
import { type ProvenResult, decodeProvenResults } from "./results.ts";
import { serverEvents } from "./sse.ts";
import { type Transaction, encodeTransaction, transactionId } from "./transaction.ts";
import * as views from "./views.ts";
import type { Account, Auction, AuctionEvent, Lots, Status, TransactionStatus } from "./views.ts";

/** Most bytes of an ordinary answer. */
const MAX_ANSWER = 1024 * 1024;
/** Most bytes of what an auction came to: a block of bids and nothing else, with proofs. */
const MAX_AUCTION = 64 * 1024 * 1024;
/** How long a stream waits before it connects again after a failure, in milliseconds, at first and at most. */
const RETRY_MS = { first: 250, most: 5000 };

/** How long nodes are waited for. */
export interface ClientOptions {
  /** For an answer, in milliseconds: 5000 by default. */
  timeoutMs?: number;
  /** For the next height on a stream before another node is tried, in milliseconds: 15 000 by default. */
  patienceMs?: number;
}

/** A submission that at least one node accepted. */
export interface Submission {
  /** The transaction's id. */
  id: Hex;
  /** What each node made of it, in the order of the client's nodes. */
  outcomes: Outcome[];
}

/** Where a stream of auctions begins and ends. */
export interface AuctionsOptions {
  /** The first height; the latest by default. */
  from?: bigint;
  /** Ends the stream, without an error. */
  signal?: AbortSignal;
}

/**
 * Talks to nodes of one network. What is read comes from the first node that has it, and is that node's word;
 * `verifyResult` checks results. What is submitted goes to all nodes at once: a bid has to be in a batch by its height,
 * and any validator may be slow.
 */
export class Client {
  readonly #urls: string[];
  readonly #timeoutMs: number;
  readonly #patienceMs: number;

  /**
   * @param urls addresses of nodes' APIs, in order of preference
   * @throws TypeError
   */
  constructor(urls: string[], { timeoutMs = 5000, patienceMs = 15_000 }: ClientOptions = {}) {
    if (urls.length === 0) throw new TypeError("urls: expected one node at least");
    this.#urls = urls.map(baseOf);
    this.#timeoutMs = timeoutMs;
    this.#patienceMs = patienceMs;
  }

  /** Where a node stands. */
  async status(): Promise<Status> {
    return this.#must("status", views.status);
  }

  /** An account's balance and collateral. */
  async account(address: Hex): Promise<Account> {
    fromHex(address, "address", 20);
    return this.#must(`v1/accounts/${address}`, views.account);
  }

  /** What is for sale at the next height. */
  async lots(): Promise<Lots> {
    return this.#must("v1/auctions/next", views.lots);
  }

  /** What the auction of a height came to; nothing if the height is not decided. */
  async auction(height: bigint | "latest"): Promise<Auction | undefined> {
    return this.#first(`v1/auctions/${height}`, (body) => views.auction(parse(body)), MAX_AUCTION);
  }

  /**
   * The results of a height, lots that were sold, then bids, then bundles that were decided, each with its path to the
   * results root; nothing if the height is not decided.
   */
  async provenResults(height: bigint): Promise<ProvenResult[] | undefined> {
    return this.#first(`v1/auctions/${height}?proof=1`, decodeProvenResults, MAX_AUCTION, "application/octet-stream");
  }

  /**
   * The results root of a height, which stands in the header above it; nothing if that is not decided. All nodes are
   * asked, and those that answer have to agree: no certificate is checked.
   * @throws NodeError if two nodes differ
   */
  async resultsRoot(height: bigint): Promise<Hex | undefined> {
    const path = `v1/blocks/${height + 1n}`;
    const root = (body: Uint8Array) => {
      const header = parse(body).get("header");
      if (header.get("height").number() !== height + 1n) throw new Error("it is the block of another height");
      return header.get("parent_outcome").get("results_root").hex(32);
    };
    const answers = await Promise.allSettled(this.#urls.map((url) => this.#read(url, path, root, MAX_ANSWER)));
    let found: Hex | undefined;
    answers.forEach((answer, i) => {
      if (answer.status === "rejected" || answer.value === undefined) return;
      found ??= answer.value;
      if (found !== answer.value) throw new NodeError(this.#urls[i]!, `has another header at height ${height + 1n}`);
    });
    const [first] = answers;
    if (first?.status === "rejected" && answers.every(({ status }) => status === "rejected")) throw first.reason;
    return found;
  }

  /** Where a transaction stands; nothing if no node knows it. */
  async transaction(id: Hex): Promise<TransactionStatus | undefined> {
    fromHex(id, "id", 32);
    return this.#first(`v1/transactions/${id}`, (body) => views.transactionStatus(parse(body)));
  }

  /**
   * Hands a transaction to all nodes. To do so again does no harm.
   * @returns once each has answered or taken too long
   * @throws NotAccepted, with each node's reason
   */
  async submit(transaction: Transaction): Promise<Submission> {
    const request: Request = {
      path: "v1/transactions",
      method: "POST",
      headers: { "content-type": "application/octet-stream" },
      body: encodeTransaction(transaction),
    };
    return this.#toAll(transactionId(transaction), request, (_, answer) => answer.get("id").hex(32));
  }

  /**
   * Hands a bundle to all nodes, by JSON-RPC.
   * @returns once each has answered or taken too long; the id is that of the bid that the bundle is
   * @throws NotAccepted, with each node's reason
   */
  async sendBundle({ method, params, transaction }: Bundle): Promise<Submission> {
    const request: Request = {
      path: "rpc",
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: [params] }),
    };
    return this.#toAll(transactionId(transaction), request, (url, answer) => {
      const error = answer.optional("error", (error) => rpcError(url, error));
      if (error !== undefined) throw error;
      return answer.get("result").get("bundleHash").hex(32);
    });
  }

  /**
   * Auctions, height by height: none is skipped, none comes twice. When a node breaks off, fails, or brings nothing new
   * for too long, the next one goes on from the same height.
   * @throws WeftError if every node refuses
   */
  async *auctions({ from, signal }: AuctionsOptions = {}): AsyncGenerator<AuctionEvent, void, undefined> {
    let next = from;
    let [failures, refusals] = [0, 0];
    for (let turn = 0; !signal?.aborted; turn++) {
      const before = next;
      try {
        for await (const auction of this.#stream(this.#urls[turn % this.#urls.length]!, from, next, signal)) {
          next = auction.height + 1n;
          yield auction;
        }
        refusals = 0;
      } catch (error) {
        refusals = error instanceof WeftError && !error.isTemporary ? refusals + 1 : 0;
        if (refusals === this.#urls.length) throw error;
      }
      failures = next === before ? failures + 1 : 0;
      // After progress, and until all nodes have been tried, there is no pause.
      if (failures === 0 || failures % this.#urls.length !== 0) continue;
      const pause = RETRY_MS.first * 2 ** (failures / this.#urls.length - 1);
      await sleep(Math.min(pause, RETRY_MS.most), undefined, { signal }).catch(() => {});
    }
  }

  /** What one connection to one node brings: heights in order, from `next` on if that is known. */
  async *#stream(
    url: string, from: bigint | undefined, next: bigint | undefined, outer: AbortSignal | undefined,
  ): AsyncGenerator<AuctionEvent> {
    const controller = new AbortController();
    const { signal } = controller;
    const end = () => controller.abort(outer?.reason);
    outer?.addEventListener("abort", end, { once: true });
    const late = new NodeError(url, `brought no height for ${this.#patienceMs} ms`);
    const wait = () => setTimeout(() => controller.abort(late), this.#patienceMs);
    let timer = wait();
    try {
      const headers: Record<string, string> = { accept: "text/event-stream" };
      // What begins at `from` has no event before it.
      if (next !== undefined && next !== from) headers["last-event-id"] = (next - 1n).toString();
      const path = `v1/auctions/stream${next === undefined ? "" : `?from=${next}`}`;
      const response = await open(url, { path, headers }, signal);
      for await (const event of serverEvents(chunksOf(url, response, signal), MAX_AUCTION)) {
        if (event.type !== "auction") continue;
        const auction = sensible(url, () => views.auctionEvent(new Json(JSON.parse(event.data), "event")));
        const { height } = auction;
        if (event.id !== height.toString()) throw new NodeError(url, `gives height ${height} the id ${event.id}`);
        if (next !== undefined && height < next) continue;
        if (next !== undefined && height > next) throw new NodeError(url, `skipped height ${next}`);
        next = height + 1n;
        clearTimeout(timer);
        yield auction;
        timer = wait();
      }
    } finally {
      clearTimeout(timer);
      outer?.removeEventListener("abort", end);
      controller.abort();
    }
  }

  /** Sends to all nodes what has to have this id. */
  async #toAll(id: Hex, request: Request, read: (url: string, answer: Json) => Hex): Promise<Submission> {
    const send = async (url: string): Promise<Outcome> => {
      try {
        const body = await ask(url, request, { timeoutMs: this.#timeoutMs, bytes: MAX_ANSWER });
        const taken = sensible(url, () => read(url, parse(body)));
        if (taken !== id) throw new NodeError(url, `took it for ${taken}`);
        return { url, accepted: true };
      } catch (error) {
        if (error instanceof WeftError || error instanceof NodeError) return { url, accepted: false, error };
        throw error;
      }
    };
    const outcomes = await Promise.all(this.#urls.map(send));
    if (!outcomes.some((outcome) => outcome.accepted)) throw new NotAccepted(id, outcomes);
    return { id, outcomes };
  }

  /** What some node has to have. */
  async #must<T>(path: string, view: (json: Json) => T): Promise<T> {
    const found = await this.#first(path, (body) => view(parse(body)));
    if (found === undefined) throw new NodeError(this.#urls[0]!, `has no ${path}`);
    return found;
  }

  /** What the first node that has it answers; nothing if those that answer have no such thing. */
  async #first<T>(
    path: string, view: (body: Uint8Array) => T, most = MAX_ANSWER, accept = "application/json",
  ): Promise<T | undefined> {
    let missing = false;
    let failed: unknown;
    for (const url of this.#urls) {
      try {
        const found = await this.#read(url, path, view, most, accept);
        if (found !== undefined) return found;
        missing = true;
      } catch (error) {
        failed ??= error;
      }
    }
    if (missing) return undefined;
    throw failed;
  }

  async #read<T>(
    url: string, path: string, view: (body: Uint8Array) => T, bytes: number, accept = "application/json",
  ): Promise<T | undefined> {
    try {
      const body = await ask(url, { path, headers: { accept } }, { timeoutMs: this.#timeoutMs, bytes });
      return sensible(url, () => view(body));
    } catch (error) {
      if (error instanceof WeftError && error.status === 404) return undefined;
      throw error;
    }
  }
}

/** A node's address, which paths can be put behind. */
function baseOf(url: string, place: number): string {
  const { protocol, host, pathname, href } = new URL(url);
  const base = `${protocol}//${host}${pathname}`;
  if (!/^https?:$/.test(protocol) || base !== href) {
    throw new TypeError(`urls[${place}]: expected http or https, a host, perhaps a path, and nothing else`);
  }
  return base.replace(/\/*$/, "/");
}

/** Reads what a node said; nonsense is the node's fault. */
function sensible<T>(url: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof WeftError) throw error;
    throw new NodeError(url, `its answer makes no sense: ${(error as Error).message}`, error);
  }
}

/** The HTTP statuses of what JSON-RPC has codes for. */
const RPC_STATUS = new Map([[-32700, 400], [-32600, 400], [-32602, 400], [-32601, 404], [-32005, 429], [-32603, 500]]);

/** An error of JSON-RPC. It comes with the problem document of the same, or names the parameter in its message. */
function rpcError(url: string, error: Json): WeftError {
  const document = error.optional("data", (data) => weftError(url, data));
  if (document !== undefined) return document;
  const message = error.get("message").text();
  const status = RPC_STATUS.get(error.get("code").value as number) ?? 422;
  const named = /^([\w.]+): (.*)$/s.exec(message);
  return named === null ? new WeftError(url, status, message) : new WeftError(url, status, named[2]!, named[1]!);
}
