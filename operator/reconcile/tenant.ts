import type { MtaPolicy, Snapshot, Translation, Want } from '../compile/model.ts';
import type { Platform, RenderedMta } from '../platform/platform.ts';
import type { HeldObjects } from './held-objects.ts';
import type { MakeKey } from './keys.ts';

/** What the loop is made of, besides the platform. All effects that are not the platform's stand here. */
export interface TenantDeps {
  readonly compile: (snapshot: Snapshot) => Translation;
  readonly render: (policy: MtaPolicy) => RenderedMta;
  /** What paused objects are held at. One for all namespaces, as long as the process runs. */
  readonly held: HeldObjects;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /**
   * Starts a DNS check unless the same question is being asked already, and returns at once: the outcome is recorded with the
   * platform and the namespace reconciled again. Name servers may take half a minute, and no edit waits for them.
   */
  readonly checkDkim: (namespace: string, want: CheckDkim) => void;
  /** The same for the MX, SPF and DMARC records of a domain. */
  readonly checkMailDns: (namespace: string, want: CheckMailDns) => void;
  /** Makes a key, off the event loop. */
  readonly generateKey: (want: MakeKey) => Promise<{ readonly key: string }>;
  readonly signal: AbortSignal;
}

export type CheckDkim = Extract<Want, { kind: 'checkDkim' }>;
export type CheckMailDns = Extract<Want, { kind: 'checkMailDns' }>;

export interface TenantOutcome {
  /** Milliseconds since the epoch at which the namespace is to be reconciled though nothing changed. */
  readonly nextDue?: number;
}

/** A key that was just made is compiled in the next round; more than this means that something never settles. */
const maxRounds = 4;

/**
 * Brings one namespace from its objects to running policy and true status: snapshot, compile, render, deliver, report, then act on
 * what the compilation wants and begin again if acting changed something. The same lines serve both platforms.
 *
 * An MTA whose policy cannot be delivered never keeps another from its own, nor any object from its status.
 * @throws AggregateError with everything that failed, after all the rest was done: the caller tries again later.
 */
export async function reconcileTenant(
  namespace: string,
  platform: Platform,
  deps: TenantDeps,
): Promise<TenantOutcome> {
  const keysMade = new Set<string>();
  const failures: unknown[] = [];
  for (let round = 1; ; round += 1) {
    deps.signal.throwIfAborted();
    const { held } = deps;
    const translation = deps.compile(held.hold(await platform.snapshot(namespace, held.formsIn(namespace))));
    for (const policy of translation.mtas) {
      await attempt(failures, () => platform.deliver(namespace, deps.render(policy), deps.signal));
    }
    await attempt(failures, () => platform.report(namespace, translation.statuses, deps.signal));

    const missing = translation.wants.filter(isMakeKey).filter((want) => !keysMade.has(want.secretName));
    for (const want of missing) {
      keysMade.add(want.secretName);
      await attempt(failures, async () => {
        const { key } = await deps.generateKey(want);
        await platform.createKeyOnce(namespace, want, key, deps.signal);
      });
    }
    for (const want of translation.wants)
      await attempt(failures, () => note(namespace, platform, want, deps.signal));
    startChecks(namespace, translation.wants, deps);

    if (failures.length > 0) throw new AggregateError(failures, describe(namespace, failures));
    if (missing.length === 0 || round === maxRounds) return nextDue(translation.wants, deps.now());
  }
}

/** Wants that leave a mark on an object, and change nothing that is compiled. */
async function note(namespace: string, platform: Platform, want: Want, signal: AbortSignal): Promise<void> {
  switch (want.kind) {
    case 'routeFinalizer':
      return platform.setRouteFinalizer(namespace, want.route, want.present, signal);
    case 'rememberVerified':
      return platform.rememberVerified(namespace, want, signal);
    case 'publishRecord':
    case 'withdrawRecord':
      return platform.publishRecord(namespace, want, signal);
    case 'keyFinalizer':
      return platform.setKeyFinalizer(namespace, want.dkimKey, want.present, signal);
    case 'retireKey':
      return platform.retireKey(namespace, want.secretName, want.deleteAfter, signal);
    case 'keepKey':
      return platform.retireKey(namespace, want.secretName, undefined, signal);
    case 'deleteKey':
      return platform.deleteKey(namespace, want, signal);
  }
}

function startChecks(namespace: string, wants: readonly Want[], deps: TenantDeps): void {
  for (const want of wants) {
    if (want.kind === 'checkDkim' && want.due <= deps.now()) deps.checkDkim(namespace, want);
    if (want.kind === 'checkMailDns' && want.due <= deps.now()) deps.checkMailDns(namespace, want);
  }
}

/** A check that is due already reports by itself when it ends, so it sets no alarm. */
function nextDue(wants: readonly Want[], now: number): TenantOutcome {
  let earliest = Number.POSITIVE_INFINITY;
  for (const want of wants) {
    if (want.kind === 'recompile') earliest = Math.min(earliest, Math.max(want.due, now));
    const checks = want.kind === 'checkDkim' || want.kind === 'checkMailDns';
    if (checks && want.due > now) earliest = Math.min(earliest, want.due);
  }
  return Number.isFinite(earliest) ? { nextDue: earliest } : {};
}

function isMakeKey(want: Want): want is MakeKey {
  return want.kind === 'createKey' || want.kind === 'createHopKey';
}

async function attempt(failures: unknown[], action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    failures.push(error);
  }
}

function describe(namespace: string, failures: readonly unknown[]): string {
  const texts = failures.map((failure) => (failure instanceof Error ? failure.message : String(failure)));
  return `namespace ${namespace}: ${texts.join('; ')}`;
}
