/** JSON as the vector files hold it, and where two pieces of it differ. */

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type JsonObject = { [name: string]: Json };

export function isObject(json: Json | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

/** Where a file and the reader first differ, and how; nothing if they agree. */
export function difference(at: string, file: Json | undefined, reader: Json | undefined): string | undefined {
  if (Array.isArray(file) && Array.isArray(reader)) {
    for (let i = 0; i < Math.max(file.length, reader.length); i++) {
      const found = difference(`${at}[${i}]`, file[i], reader[i]);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (isObject(file) && isObject(reader)) {
    for (const name of new Set([...Object.keys(file), ...Object.keys(reader)])) {
      const found = difference(`${at}.${name}`, file[name], reader[name]);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (file === reader) return undefined;
  return `${at}: the file has ${print(file)}, the reader finds ${print(reader)}`;
}

function print(json: Json | undefined): string {
  const text = json === undefined ? "nothing" : JSON.stringify(json);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
