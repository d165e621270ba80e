import { Client, Key, bid, verifyResult, type Hex } from "@weft/searcher";

const key = new Key(process.env.KEY!);
const client = new Client(process.env.NODES!.split(","));
const leg = { namespace: BigInt(process.env.NAMESPACE!), data: [process.env.TRANSACTION as Hex] };
const { chainId } = await client.status();
const soon = () => BigInt(Date.now() + 30_000);
const payload = { kind: "lockCollateral" as const, amount: 10n ** 18n };
await client.submit(key.sign({ chainId, validUntil: soon(), salt: soon(), maxFee: 10n ** 16n, payload }));

let won: Hex | undefined;
for await (const { height, bids, next } of client.auctions()) {
  if (won !== undefined) {
    const [results, root] = [await client.provenResults(height - 1n), await client.resultsRoot(height - 1n)];
    const proof = results!.find(({ result }) => result.kind === "bid" && result.bid === won);
    console.log(verifyResult(proof!, root!) ? "proven" : "not true");
    break;
  }
  const mine = bids.find(({ bidder }) => bidder === key.address);
  if (mine !== undefined) console.log(`${height}: ${mine.reason}`);
  if (mine?.result === "won") won = mine.bid;
  const lot = next?.lots.find(({ namespace }) => namespace === leg.namespace);
  const amount = (lot?.reserve ?? 0n) * 2n + 1n;
  if (won !== undefined || !next || !lot || amount > (await client.account(key.address)).collateral) continue;
  const offer = bid({ key, chainId, height: next.height, sequence: 1n, amount, legs: [leg], validUntil: soon() });
  await client.submit(offer).catch((error) => console.log(`${next.height}: ${error.message}`));
}
