/** Refusals, by the names that `spec/vectors/README.md` lists. */

/** A value that decodes but breaks a rule. */
export class Refused extends Error {
  constructor(readonly reason: string) {
    super(reason);
  }
}

export function refuseIf(broken: boolean, reason: string): void {
  if (broken) throw new Refused(reason);
}

/** Runs the check of a part, whose refusals are then the whole's. */
export function within<T>(part: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof Refused) throw new Refused(`${part}/${error.reason}`);
    throw error;
  }
}

/** Whether each item stands after the one before it. */
export function ascending<T>(items: readonly T[], order: (a: T, b: T) => number): boolean {
  return items.every((item, i) => i === 0 || order(items[i - 1]!, item) < 0);
}
