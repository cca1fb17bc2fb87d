import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Leg } from '../../bundle/leg.ts';
import { readMessage } from '../../cli/explain/message.ts';
import { chooseMta } from '../../cli/policy.ts';
import { loadSnapshot } from '../../cli/snapshot.ts';
import { HopMarker, hopMarkerOf } from '../../mta/hop-marks.ts';
import { compile } from '../../operator/compile/compile.ts';
import { render } from '../../operator/render/render.ts';
import { loadPolicy } from '../../policy/load.ts';
import { type RunningStandalone, startStandalone } from '../standalone/harness.ts';
import { explainSession } from './expected.ts';
import { listedProxy, playSession } from './live.ts';
import { type Random, seededRandom } from './random.ts';
import { type CaseSession, randomSessions } from './sessions.ts';
import { randomWorld } from './world.ts';

/** A case in which `explain` and the wire do not say the same. */
interface Disagreement {
  readonly session: Pick<CaseSession, 'peer' | 'tls' | 'proxyLine'>;
  readonly transaction: CaseSession['transactions'][number];
  readonly recipient: string;
  readonly explain: string;
  readonly wire: string;
}

export interface DifferentialResult {
  readonly seed: number;
  readonly transactions: number;
  readonly recipients: number;
  readonly disagreements: readonly Disagreement[];
  /** How often each reply code was heard: a corpus that is refused by one rule alone proves little. */
  readonly codes: Readonly<Record<string, number>>;
}

/** Cases that one random tenant is used for. */
const casesPerWorld = 250;
/** Sessions at a time. */
const concurrency = 4;
/** More disagreements than this tell nothing new. */
const enough = 20;

/**
 * Plays random SMTP sessions against a standalone MTA and asks `explain` about each: the folder is edited under the running process
 * for every new world, as a user would, so the hot reload is part of what is compared.
 *
 * @param cases number of mail transactions.
 * @param progress told after each world.
 */
export async function runDifferential(
  seed: number,
  cases: number,
  progress: (done: number) => void,
): Promise<DifferentialResult> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-differential-'));
  try {
    const random = seededRandom(seed);
    const folder = join(directory, 'policy');
    const { files } = randomWorld(random);
    const standalone = await startStandalone({
      directory,
      folder,
      files,
      proxyFrom: [listedProxy],
      submission: true,
    });
    try {
      return { seed, ...(await playWorlds(standalone, folder, random, cases, progress)) };
    } finally {
      await standalone.stop();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function playWorlds(
  standalone: RunningStandalone,
  folder: string,
  random: Random,
  cases: number,
  progress: (done: number) => void,
): Promise<Omit<DifferentialResult, 'seed'>> {
  const disagreements: Disagreement[] = [];
  const codes: Record<string, number> = {};
  let transactions = 0;
  let recipients = 0;
  while (transactions < cases && disagreements.length < enough) {
    const world = randomWorld(random);
    for (const [name, text] of Object.entries(world.files)) await writeFile(join(folder, name), text);
    const { policy, heloName, hopKey } = await settle(folder, standalone);
    const now = Math.floor(Date.now() / 1000);
    const planned = randomSessions(random, world, Math.min(casesPerWorld, cases - transactions));
    const sessions = planned.map((session) => withMarks(session, hopKey, now));
    const { smtp, submission } = standalone;
    if (submission === undefined) throw new Error('no submission listener');
    await inParallel(sessions, async (session) => {
      const wire = await playSession({ smtp, submission }, session);
      const explained = explainSession(policy, session, {
        heloName,
        hopKey,
        now: Math.floor(Date.now() / 1000),
      });
      for (const [at, transaction] of session.transactions.entries()) {
        transactions += 1;
        for (const [position, recipient] of transaction.recipients.entries()) {
          recipients += 1;
          const said = { explain: explained.answers[at]?.[position] ?? '', wire: wire[at]?.[position] ?? '' };
          const code = said.wire.slice(0, 9);
          codes[code] = (codes[code] ?? 0) + 1;
          if (said.explain === said.wire) continue;
          disagreements.push({ session: clientOf(session), transaction, recipient, ...said });
        }
      }
    });
    progress(transactions);
  }
  return { transactions, recipients, disagreements, codes };
}

/** Waits until the MTA has loaded what `explain` reads from the folder. */
async function settle(folder: string, standalone: RunningStandalone) {
  return await standalone.eventually('the policy of the folder is loaded', async () => {
    const { snapshot } = await loadSnapshot(
      { warn: () => undefined },
      { folder, state: standalone.state },
      Date.now(),
    );
    const mta = chooseMta(snapshot, compile(snapshot), {});
    const loaded = await standalone.mtaState();
    if (loaded.bundleHash !== render(mta).bundleHash) return undefined;
    const { hopKey } = mta.secrets;
    if (hopKey === undefined) return undefined;
    return { policy: await loadPolicy(mta.bundle), heloName: mta.settings.heloName, hopKey };
  });
}

/** Puts the marks of each transaction on top of its message. */
function withMarks(session: CaseSession, hopKey: string, now: number): CaseSession {
  const forger = new HopMarker('f'.repeat(43));
  const transactions = session.transactions.map((transaction) => {
    const { marks = [], message, envelopeFrom } = transaction;
    if (message === undefined || marks.length === 0) return transaction;
    const { headers } = readMessage(Buffer.from(message));
    const lines = marks.flatMap(({ route, purpose, recipient, forged }) => {
      const leg: Leg = {
        domain: 'alpha.test',
        recipient,
        hop: { kind: 'Route', route },
        purpose,
        onFailure: 'Ledger',
        because: { kind: 'MailDomain', name: 'domain-0', generation: 1 },
      };
      return (forged ? forger : hopMarkerOf(hopKey)).marksFor(leg, headers, envelopeFrom, now);
    });
    return {
      ...transaction,
      message: `${lines.map(([name, value]) => `${name}: ${value}\n`).join('')}${message}`,
    };
  });
  return { ...session, transactions };
}

function clientOf({ peer, tls, proxyLine }: CaseSession): Disagreement['session'] {
  return proxyLine === undefined ? { peer, tls } : { peer, tls, proxyLine };
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}
