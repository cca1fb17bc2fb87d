import type { Account, SecretBundle } from '../../bundle/policy-bundle.ts';
import type { AuthenticatedAccount } from '../../policy/types.ts';
import type { LoadedBundle } from '../bundle-watch.ts';
import { verifyPassword } from './password.ts';

interface Owned {
  readonly domain: string;
  readonly account: Account;
}

/** Password checks at a time: each holds a thread that the disk needs as well. */
const maxChecks = 2;

/** Finds accounts and checks passwords against the policy in force. */
export class SignIn {
  private readonly indexes = new WeakMap<SecretBundle, ReadonlyMap<string, Owned>>();
  private readonly waiting: (() => void)[] = [];
  private running = 0;

  /**
   * @param now seconds since the epoch.
   * @returns the account if the password is its own and its domain may submit; undefined otherwise, whatever the cause.
   */
  async check(
    loaded: LoadedBundle,
    name: string,
    password: string,
    now: number,
  ): Promise<AuthenticatedAccount | undefined> {
    const owned = this.index(loaded.secrets).get(name.toLowerCase());
    const enabled =
      owned !== undefined && loaded.policy.domains.get(owned.domain)?.policy.submission.enabled === true;
    const known = enabled ? owned.account : undefined;
    const right = await this.inTurn(() => verifyPassword(known, password, now));
    if (!right || owned === undefined) return undefined;
    const { name: canonical, kind, sendAs, fromRoute } = owned.account;
    return {
      name: canonical,
      domain: owned.domain,
      kind,
      sendAs,
      ...(fromRoute !== undefined && { fromRoute }),
    };
  }

  private index(secrets: SecretBundle): ReadonlyMap<string, Owned> {
    const known = this.indexes.get(secrets);
    if (known !== undefined) return known;
    const index = new Map<string, Owned>();
    for (const [domain, accounts] of Object.entries(secrets.accounts)) {
      for (const account of accounts) index.set(account.name.toLowerCase(), { domain, account });
    }
    this.indexes.set(secrets, index);
    return index;
  }

  private async inTurn<T>(check: () => Promise<T>): Promise<T> {
    if (this.running >= maxChecks) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.running += 1;
    try {
      return await check();
    } finally {
      this.running -= 1;
      this.waiting.shift()?.();
    }
  }
}
