/**
 * Checks all golden vectors: `npm start`, or `npm start -- <directory>` for those elsewhere.
 * Exits with 1 if any file or vector is not as it should be.
 */

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { checkVector } from "./check.ts";
import { type Json, isObject } from "./json.ts";
import { KINDS } from "./kinds.ts";

/** Reports on one file; whether all of it is as it should be. */
function checkFile(directory: string, name: string): boolean {
  const fail = (problem: string) => {
    console.log(`FAIL ${name}: ${problem}`);
    return false;
  };
  let file: Json;
  try {
    file = JSON.parse(readFileSync(join(directory, `${name}.json`), "utf8"));
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
  if (!isObject(file) || file.kind !== name) return fail(`expected a file of kind "${name}"`);
  const vectors = file.vectors;
  if (!Array.isArray(vectors) || vectors.length === 0) return fail("the file has no vectors");

  let fine = true;
  const names = new Set<string>();
  for (const vector of vectors) {
    if (!isObject(vector) || typeof vector.name !== "string") return fail("a vector has no name");
    const mismatch = names.has(vector.name) ? "name: two vectors share it" : checkVector(KINDS[name]!, vector);
    names.add(vector.name);
    if (mismatch === undefined) continue;
    console.log(`FAIL ${name} "${vector.name}": ${mismatch}`);
    fine = false;
  }
  if (fine) console.log(`ok ${name} ${vectors.length} vectors`);
  return fine;
}

function checkAll(directory: string): boolean {
  const found = readdirSync(directory).filter((file) => file.endsWith(".json"));
  const unknown = found.filter((file) => !Object.hasOwn(KINDS, file.slice(0, -".json".length)));
  for (const file of unknown) console.log(`FAIL ${file}: no kind of vectors has that name`);
  const results = Object.keys(KINDS).map((name) => checkFile(directory, name));
  return unknown.length === 0 && results.every((fine) => fine);
}

const directory = process.argv[2] ?? join(import.meta.dirname, "../../vectors");
process.exitCode = checkAll(directory) ? 0 : 1;
