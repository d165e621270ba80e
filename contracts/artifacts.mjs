// Writes artifacts/NAME.json, the ABI and the creation bytecode of each contract, from what the
// sources compile to. With --check, writes nothing and fails if the files say something else.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const CONTRACTS = ["Inbox", "LightClient", "StakeRegistry", "Vault"];

const here = dirname(fileURLToPath(import.meta.url));
const directory = join(here, "artifacts");

/** The same value with the keys of all objects in ascending order. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  const keys = Object.keys(value).sort();
  return Object.fromEntries(keys.map((key) => [key, sorted(value[key])]));
}

/** What an ABI's entry is sorted by: constructor, errors, events, functions, each by signature. */
function order(entry) {
  const types = (entry.inputs ?? []).map((input) => input.type).join(",");
  return `${entry.type} ${entry.name ?? ""}(${types})`;
}

function artifact(name) {
  const path = join(here, "out", `${name}.sol`, `${name}.json`);
  const { abi, bytecode } = JSON.parse(readFileSync(path, "utf8"));
  if (!/^0x([0-9a-f]{2})+$/.test(bytecode.object)) {
    throw new Error(`${name}: the bytecode is not complete; is a library to be linked?`);
  }
  const entries = abi.map((entry) => ({ entry, key: order(entry) }));
  entries.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const content = { abi: entries.map(({ entry }) => entry), bytecode: bytecode.object };
  return `${JSON.stringify(sorted(content), null, 1)}\n`;
}

function isCurrent(name) {
  const path = join(directory, `${name}.json`);
  return existsSync(path) && readFileSync(path, "utf8") === artifact(name);
}

const [option, ...rest] = process.argv.slice(2);
if (rest.length > 0 || (option !== undefined && option !== "--check")) {
  console.error("usage: node artifacts.mjs [--check]");
  process.exit(2);
}

const build = spawnSync(process.execPath, [join(here, "forge"), "build", "--skip", "test"], {
  cwd: here,
  stdio: ["ignore", "ignore", "inherit"],
});
if (build.status !== 0) {
  console.error("the sources do not compile");
  process.exit(1);
}

if (option === "--check") {
  const outdated = CONTRACTS.filter((name) => !isCurrent(name));
  for (const name of outdated) {
    console.error(`artifacts/${name}.json is not what src/${name}.sol compiles to`);
  }
  const expected = CONTRACTS.map((name) => `${name}.json`);
  const found = existsSync(directory) ? readdirSync(directory) : [];
  const strangers = found.filter((file) => !expected.includes(file));
  for (const file of strangers) console.error(`artifacts/${file} belongs to no contract`);
  if (outdated.length + strangers.length > 0) {
    console.error("run: node artifacts.mjs");
    process.exit(1);
  }
} else {
  mkdirSync(directory, { recursive: true });
  for (const name of CONTRACTS) writeFileSync(join(directory, `${name}.json`), artifact(name));
}
