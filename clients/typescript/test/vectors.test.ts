/** The golden vectors of `spec/vectors`, which the node's own types agree with. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Vector, checkProvenResult, checkSigning, checkTransaction, isOfNamespace, vectorsOf } from "./vectors.ts";

const kinds: [kind: string, check: (vector: Vector) => void, atLeast: number][] = [
  ["transaction", checkTransaction, 100],
  ["signing", checkSigning, 20],
  ["proven_result", checkProvenResult, 40],
];

for (const [kind, check, atLeast] of kinds) {
  test(`agrees with every vector of ${kind}.json`, () => {
    const vectors = vectorsOf(kind);
    assert(vectors.length >= atLeast, `${vectors.length} vectors`);
    for (const vector of vectors) named(vector, () => check(vector));
  });

  test(`notices any flipped digit in ${kind}.json`, () => {
    let flipped = 0;
    vectorsOf(kind).forEach((vector, place) => {
      if (kind === "transaction" && isOfNamespace(vector)) return;
      for (const path of hexOf(vector).filter((path) => isChecked(kind, vector, path))) {
        const changed = flip(vector, path, place * 7 + flipped++);
        named(vector, () => assert.throws(() => check(changed), Error, path.join(".")));
      }
    });
    assert(flipped > atLeast * 3, `${flipped} digits`);
  });
}

test("every kind of transaction that is read has a vector", () => {
  const accepted = vectorsOf("transaction").filter(({ verdict, value }) => verdict.accepted !== undefined && value !== null);
  const kinds = new Set(accepted.flatMap(({ value }) => Object.keys((value as { payload: object }).payload)));
  for (const kind of ["submit", "transfer", "withdraw", "bid", "lock_collateral", "release_collateral", "bundle", "verdict"]) {
    assert(kinds.has(kind), kind);
  }
});

/** Runs a check whose errors say which vector they are of. */
function named(vector: Vector, check: () => void): void {
  try {
    check();
  } catch (error) {
    throw new Error(`"${vector.name}": ${(error as Error).message}`, { cause: error });
  }
}

type Path = (string | number)[];

/** Where a vector has hex. */
function hexOf(value: unknown, at: Path = []): Path[] {
  if (typeof value === "string") return /^0x./.test(value) ? [at] : [];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, field]) => hexOf(field, [...at, name]));
}

/** What a client has no use for: other networks' preimages, and slots of what it does not sign. */
function isChecked(kind: string, { name }: Vector, path: Path): boolean {
  if (kind === "transaction") return name !== "another chain" || path[1] !== "signing";
  return kind !== "signing" || path[1] !== "slot";
}

/** A copy with the lowest bit of a digit flipped. */
function flip(vector: Vector, path: Path, choice: number): Vector {
  const copy = structuredClone(vector);
  let holder: any = copy;
  for (const name of path.slice(0, -1)) holder = holder[name];
  const last = path.at(-1)!;
  const text: string = holder[last];
  const at = 2 + (choice % (text.length - 2));
  holder[last] = text.slice(0, at) + (parseInt(text[at]!, 16) ^ 1).toString(16) + text.slice(at + 1);
  return copy;
}
