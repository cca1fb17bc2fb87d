/** How many deliveries run to each Route, so that one slow destination does not take all connections. */
export class RouteConcurrency {
  private readonly active = new Map<string, number>();

  /** @returns releases the place; undefined if there is none free. */
  take(route: string, limit: number): (() => void) | undefined {
    const count = this.active.get(route) ?? 0;
    if (count >= limit) return undefined;
    this.active.set(route, count + 1);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const left = (this.active.get(route) ?? 1) - 1;
      if (left === 0) this.active.delete(route);
      else this.active.set(route, left);
    };
  }
}
