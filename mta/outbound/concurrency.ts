interface Lane {
  running: number;
  /** In the order in which they asked first. */
  readonly waiting: Map<object, () => boolean>;
}

/**
 * How many deliveries run to each Route, so that one slow destination does not take all connections. Who finds no place is
 * woken, in order, when one is free.
 */
export class RouteConcurrency {
  private readonly lanes = new Map<string, Lane>();

  /**
   * @param who asks; it waits once, however often it asks.
   * @param wake called once, later, if there is no place now; it answers whether it will ask again. If not, the next one is woken.
   * @returns releases the place; undefined if there was none.
   */
  take(route: string, limit: number, who: object, wake: () => boolean): (() => void) | undefined {
    const lane = this.lanes.get(route) ?? { running: 0, waiting: new Map<object, () => boolean>() };
    this.lanes.set(route, lane);
    if (lane.running >= limit) {
      lane.waiting.set(who, wake);
      return undefined;
    }
    // It may have come by itself.
    lane.waiting.delete(who);
    lane.running += 1;
    let released = false;
    return () => {
      if (released) return;
      released = true;
      lane.running -= 1;
      this.wakeNext(lane);
      if (lane.running === 0 && lane.waiting.size === 0) this.lanes.delete(route);
    };
  }

  private wakeNext({ waiting }: Lane): void {
    for (const [who, wake] of waiting) {
      waiting.delete(who);
      if (wake()) return;
    }
  }
}
