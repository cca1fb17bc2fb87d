import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer, type Server as NetServer } from 'node:net';
import { judgeConnect, judgeData, judgeMail, judgeRcpt } from '../policy/judge.ts';
import { BundleWatch } from './bundle-watch.ts';
import { Drain } from './drain.ts';
import { loadHaraka, startHaraka } from './haraka.ts';
import { fillHome } from './home.ts';
import { Ledger } from './ledger.ts';
import { createLog } from './log.ts';
import { MailStore } from './mail-store.ts';
import { Metrics } from './metrics.ts';
import { formatListenAddress, type MtaOptions } from './options.ts';
import { trustProxies } from './proxy-peers.ts';
import { QueueProbe } from './queue-probe.ts';
import { RefusalLog } from './refusals.ts';
import { type Parts, provideRuntime, type Runtime } from './runtime.ts';
import { currentState, queueSize, readiness } from './state.ts';
import { portOf, serveState } from './state-server.ts';
import { drainAll } from './stop.ts';

/** A running MTA. */
export interface Mta {
  /** `smtp=127.0.0.1:2525 http=127.0.0.1:8025`: the addresses with the ports that were given. */
  readonly addresses: string;
  /** Ends it in order; the process may exit afterwards. */
  stop(): Promise<void>;
}

/** What the product runs with. Recipients cannot be asked for yet: nobody is called unknown for that (451). */
export const productParts: Parts = {
  judge: { connect: judgeConnect, mail: judgeMail, rcpt: judgeRcpt, data: judgeData },
  lookUp: async () => 'unavailable',
  deadlineMs: 20_000,
  openStore: (outbound, paths) => new MailStore(outbound, paths),
};

/**
 * Starts the MTA in this process, which it has to itself: Haraka is one to a process.
 * @throws Error with one clear sentence: a file that is missing or wrong, an address that is taken.
 */
export async function startMta(asked: MtaOptions, parts: Parts = productParts): Promise<Mta> {
  const options = await withSubmissionsPort(asked);
  const home = await fillHome(options);
  for (const directory of [options.queue, options.maildir])
    await mkdir(directory, { recursive: true, mode: 0o700 });
  const token = options.tokenFile === undefined ? undefined : await readToken(options.tokenFile);
  const log = createLog(options.logLevel);
  const haraka = loadHaraka(options.home);
  trustProxies(haraka, [...home.settings.proxyProtocolFrom, ...options.proxyFrom]);

  const now = () => Math.floor(Date.now() / 1000);
  const metrics = new Metrics(() => queueSize({ haraka }));
  const bundles = new BundleWatch(options.policy, now, {
    loaded: ({ index }) => {
      metrics.bundleLoad('loaded');
      log.info({ event: 'bundle', bundleHash: index.bundleHash }, 'policy loaded');
    },
    failed: (message) => {
      metrics.bundleLoad('failed');
      log.error(
        { event: 'bundle', problem: message },
        'the policy on disk cannot be used; the last good one stays',
      );
    },
  });
  const submissionServers = new Set<NetServer>();
  const runtime: Runtime = {
    ...parts,
    haraka,
    settings: home.settings,
    bundles,
    store: parts.openStore(haraka.outbound, { queue: options.queue, maildir: options.maildir }),
    drain: new Drain(haraka),
    ledger: new Ledger(),
    refusals: new RefusalLog(),
    metrics,
    log,
    submissionServers,
    now,
  };
  provideRuntime(runtime);
  await bundles.start();

  const probe = new QueueProbe(options.queue, haraka.outbound.qfile.platformDOT);
  const http = await serveState(
    options.http,
    {
      state: () => currentState(runtime, probe, home.coldHash),
      ready: () => readiness(runtime, probe),
      blocks: () => runtime.refusals.recent(),
      metrics: async () => ({
        contentType: metrics.registry.contentType,
        text: await metrics.registry.metrics(),
      }),
    },
    token,
  );

  const wanted = { smtp: options.smtp, submission: options.submission, submissions: options.submissions };
  const names = Object.entries(wanted).filter(([, address]) => address !== undefined);
  const servers = await startHaraka(haraka, names.length);
  const addresses = names.map(([name, address], position) => {
    const server = servers[position];
    if (server === undefined || address === undefined) throw new Error(`${name}: does not listen`);
    if (name !== 'smtp') submissionServers.add(server);
    return `${name}=${formatListenAddress({ host: address.host, port: portOf(server) })}`;
  });
  addresses.push(`http=${formatListenAddress({ host: options.http.host, port: portOf(http) })}`);

  return {
    addresses: addresses.join(' '),
    stop: async () => {
      const clean = await drainAll(runtime, options.graceSeconds);
      if (!clean)
        log.warn(
          { event: 'stop', sessions: runtime.drain.openSessions },
          'the grace period is over; what still runs is cut off',
        );
      bundles.stop();
      http.closeAllConnections();
      http.close();
    },
  };
}

/** Haraka tells the listener with TLS from the first byte by its port, so that one must be known before. */
async function withSubmissionsPort(options: MtaOptions): Promise<MtaOptions> {
  const { submissions } = options;
  if (submissions?.port !== 0) return options;
  const server = createServer().listen(0, submissions.host);
  await once(server, 'listening');
  const port = portOf(server);
  server.close();
  return { ...options, submissions: { ...submissions, port } };
}

async function readToken(file: string): Promise<string> {
  const token = (await readFile(file, 'utf8')).trim();
  if (token === '') throw new Error(`${file}: is empty; it should hold the bearer token`);
  return token;
}
