/** The few parts of Node that the reader uses. */

declare module "node:fs" {
  export function readFileSync(path: string, encoding: "utf8"): string;
  export function readdirSync(path: string): string[];
}

declare module "node:path" {
  export function join(...parts: string[]): string;
}

declare const process: { argv: string[]; exitCode: number | undefined };
declare const console: { log(line: string): void };

interface ImportMeta {
  dirname: string;
}
