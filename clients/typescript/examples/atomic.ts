import { Client, Key, bid, type Hex } from "@weft/searcher";

const key = new Key(process.env.KEY!);
const client = new Client(process.env.NODES!.split(","));
const legs = process.env.LEGS!.split(",").map((leg) => {
  const [namespace, transaction] = leg.split("=");
  return { namespace: BigInt(namespace!), data: [transaction as Hex] };
});
const { chainId } = await client.status();

let won: Hex | undefined;
for await (const { height, bids, bundles, next } of client.auctions()) {
  const mine = bids.find(({ bidder }) => bidder === key.address);
  if (mine !== undefined) console.log(`${height}: ${mine.reason}`);
  if (mine?.result === "won") won = mine.bid;
  const decided = bundles.find(({ bundle }) => bundle === won);
  if (decided !== undefined) {
    console.log(`${height}: ${decided.decision}, paid ${decided.paid}`);
    break;
  }
  const lots = next?.lots.filter((lot) => legs.some(({ namespace }) => namespace === lot.namespace));
  if (won !== undefined || !next || lots?.length !== legs.length) continue;
  const amount = lots.reduce((sum, { reserve }) => sum + reserve * 2n, 1n);
  const validUntil = BigInt(Date.now() + 30_000);
  const offer = bid({ key, chainId, height: next.height, sequence: 1n, amount, legs, mode: "atomic", validUntil });
  await client.submit(offer).catch((error) => console.log(`${next.height}: ${error.message}`));
}
