interface Lane {
  running: number;
  readonly waiting: (() => void)[];
}

/**
 * How many deliveries run to each Route, so that one slow destination does not take all connections. Who finds no place is
 * woken, in order, when one is free.
 */
export class RouteConcurrency {
  private readonly lanes = new Map<string, Lane>();

  /**
   * @param wake called once, later, if there is no place now; the caller then asks again.
   * @returns releases the place; undefined if there was none.
   */
  take(route: string, limit: number, wake: () => void): (() => void) | undefined {
    const lane = this.lanes.get(route) ?? { running: 0, waiting: [] };
    this.lanes.set(route, lane);
    if (lane.running >= limit) {
      lane.waiting.push(wake);
      return undefined;
    }
    lane.running += 1;
    let released = false;
    return () => {
      if (released) return;
      released = true;
      lane.running -= 1;
      if (lane.running === 0 && lane.waiting.length === 0) this.lanes.delete(route);
      lane.waiting.shift()?.();
    };
  }
}
