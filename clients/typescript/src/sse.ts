/** Server-sent events (WHATWG HTML, section 9.2) out of a body that comes in pieces. */

export interface ServerEvent {
  /** The event's type, `message` if it has none. */
  type: string;
  data: string;
  /** The event's own id. */
  id?: string | undefined;
}

/**
 * Events in order, each once it is complete. What stands at the end without an empty line is no event.
 * @param most characters of one event
 * @throws RangeError for an event that is longer
 */
export async function* serverEvents(chunks: AsyncIterable<Uint8Array>, most: number): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  let afterReturn = false;
  let length = 0;
  let event = empty();
  for await (const chunk of chunks) {
    let text = decoder.decode(chunk, { stream: true });
    if (text === "") continue;
    // A line feed that belongs to the carriage return at the end of the piece before.
    if (afterReturn && text.startsWith("\n")) text = text.slice(1);
    afterReturn = text === "" ? false : text.endsWith("\r");
    const lines = text.split(/\r\n|\n|\r/);
    lines[0] = rest + lines[0];
    rest = lines.pop()!;
    for (const line of lines) {
      length += line.length;
      if (length > most) break;
      if (line !== "") {
        take(event, line);
        continue;
      }
      if (event.data.length > 0) yield { type: event.type || "message", data: event.data.join("\n"), id: event.id };
      [event, length] = [empty(), 0];
    }
    if (length + rest.length > most) throw new RangeError(`an event is longer than ${most} characters`);
  }
}

interface Unfinished {
  type: string;
  data: string[];
  id: string | undefined;
}

function empty(): Unfinished {
  return { type: "", data: [], id: undefined };
}

/** Takes a line in. One that begins with a colon is a comment: its field has no name. */
function take(event: Unfinished, line: string): void {
  const colon = line.indexOf(":");
  const name = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
  if (name === "event") event.type = value;
  if (name === "data") event.data.push(value);
  if (name === "id" && !value.includes("\0")) event.id = value;
}
