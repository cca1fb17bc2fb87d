const windowMinutes = 60;

/**
 * How many recipients each account has sent to within the last hour, to the minute (P7). Kept in memory, so each pod counts
 * for itself and begins anew when it starts.
 */
export class AccountUsage {
  /** By account: minutes since the epoch and the recipients in each, oldest first. */
  private readonly minutes = new Map<string, { minute: number; count: number }[]>();

  /** @param now seconds since the epoch. */
  recipients(account: string, now: number): number {
    return this.recent(account, now).reduce((sum, { count }) => sum + count, 0);
  }

  /** Counts one more recipient. */
  add(account: string, now: number): void {
    const recent = this.recent(account, now);
    const minute = minuteOf(now);
    const last = recent.at(-1);
    if (last?.minute === minute) last.count += 1;
    else recent.push({ minute, count: 1 });
    this.minutes.set(account.toLowerCase(), recent);
  }

  private recent(account: string, now: number): { minute: number; count: number }[] {
    const present = minuteOf(now);
    // What a clock counted that was wrong, and was set back since, holds nobody up for longer than an hour (X25).
    const counts = ({ minute }: { minute: number }) => minute > present - windowMinutes && minute <= present;
    return (this.minutes.get(account.toLowerCase()) ?? []).filter(counts);
  }
}

function minuteOf(now: number): number {
  return Math.floor(now / 60);
}
