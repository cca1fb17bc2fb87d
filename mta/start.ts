import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server as NetServer } from 'node:net';
import { judgeConnect, judgeData, judgeMail, judgeRcpt } from '../policy/judge.ts';
import { AccountUsage } from './account-usage.ts';
import { BundleWatch } from './bundle-watch.ts';
import { CertificateWatch } from './certificate-watch.ts';
import { ClusterPeers } from './cluster-peers.ts';
import { Drain } from './drain.ts';
import { loadHaraka, startHaraka } from './haraka.ts';
import { Hits } from './hits.ts';
import { fillHome } from './home.ts';
import { Ledger } from './ledger.ts';
import { createLog } from './log.ts';
import { cachedDns } from './lookups/dns-cache.ts';
import { askBySmtp, RecipientProbe } from './lookups/recipient-probe.ts';
import { probeBySmtp, RouteProber } from './lookups/route-prober.ts';
import { MailStore } from './mail-store.ts';
import { Metrics } from './metrics.ts';
import { formatListenAddress, type MtaOptions } from './options.ts';
import { followClock } from './outbound/clock-jumps.ts';
import { ConnectionPool } from './outbound/connection-pool.ts';
import { mailDns } from './outbound/exchangers.ts';
import { FreshMails } from './outbound/fresh-mail.ts';
import { HandOver } from './outbound/hand-over.ts';
import { PartnerTls } from './outbound/partner-tls.ts';
import { addressFilter } from './outbound/public-address.ts';
import { listQueue } from './outbound/queue-file.ts';
import { readProxiesInFront } from './proxy-front.ts';
import { trustProxies } from './proxy-peers.ts';
import { Adoption } from './queue/adoption.ts';
import { LastAnswers } from './queue/last-answers.ts';
import { QueueDesk } from './queue/queue-desk.ts';
import { QueueProbe } from './queue-probe.ts';
import { RefusalLog } from './refusals.ts';
import { type Parts, provideRuntime, type Runtime } from './runtime.ts';
import { serveCertificate } from './serve-certificate.ts';
import { KeyRing } from './signer/key-ring.ts';
import { currentState, queueSize, readiness } from './state.ts';
import { portOf, serveState } from './state-server.ts';
import { drainAll, runningDeliveries } from './stop.ts';

/** A running MTA. */
export interface Mta {
  /** `smtp=127.0.0.1:2525 http=127.0.0.1:8025`: the addresses with the ports that were given. */
  readonly addresses: string;
  /** Ends it in order; the process may exit afterwards. */
  stop(): Promise<void>;
}

/** Seconds after the grace for what is still to be handed over; the chart's terminationGracePeriodSeconds leaves 20. */
const handOverSeconds = 12;

/** What the product runs with. */
export const productParts: Parts = {
  judge: { connect: judgeConnect, mail: judgeMail, rcpt: judgeRcpt, data: judgeData },
  deadlineMs: 20_000,
  mxPort: 25,
  openStore: (outbound, freshMails, paths) => new MailStore(outbound, freshMails, paths),
};

/**
 * Starts the MTA in this process, which it has to itself: Haraka is one to a process.
 * @throws Error with one clear sentence: a file that is missing or wrong, an address that is taken.
 */
export async function startMta(asked: MtaOptions, parts: Parts = productParts): Promise<Mta> {
  const options = await withSubmissionsPort(asked);
  const log = createLog(options.logLevel);
  const certificates = options.tls === undefined ? undefined : new CertificateWatch(options.tls);
  await certificates?.look();
  const home = await fillHome(options, certificates?.current);
  for (const directory of [options.queue, options.maildir])
    await mkdir(directory, { recursive: true, mode: 0o700 });
  const token = options.tokenFile === undefined ? undefined : await readToken(options.tokenFile);
  const haraka = loadHaraka(options.home);
  trustProxies(haraka, [...home.settings.proxyProtocolFrom, ...options.proxyFrom]);
  readProxiesInFront(haraka);

  const now = () => Math.floor(Date.now() / 1000);
  const { heloName } = home.settings;
  const resolvers = options.resolver.length > 0 ? options.resolver : home.settings.resolvers;
  const dns = mailDns(resolvers);
  const signingKeys = new KeyRing();
  const prober = new RouteProber({
    probe: probeBySmtp({ heloName, dns }),
    changed: (route, { reachable, reason, detail }) =>
      log[reachable ? 'info' : 'warn']({ event: 'route', route, reason, detail }),
    now,
  });
  followClock(haraka.outbound.temp_fail_queue);
  const drain = new Drain(haraka);
  const transactions = { open: 0 };
  const freshMails = await FreshMails.open({
    outbound: haraka.outbound,
    queueDirectory: options.queue,
    journalDirectory: options.journal,
    incoming: () => transactions.open,
    problem: (problem) => log.error({ event: 'queue', problem }, 'trouble with the journal'),
  });
  const lastAnswers = await LastAnswers.open({
    file: options.lastAnswers,
    queued: new Set((await listQueue(options.queue)).map(({ id }) => id)),
    problem: (problem) =>
      log.error({ event: 'queue', problem }, 'the last answers are not kept over a restart'),
  });
  const queueDesk = new QueueDesk({
    outbound: haraka.outbound,
    directory: options.queue,
    answers: lastAnswers,
    settle: () => freshMails.settle(),
    draining: () => drain.draining,
    done: (verb, id) => log.info({ event: 'queue', verb, id }, 'done as the administrator asked'),
  });
  const adoption = new Adoption({
    outbound: haraka.outbound,
    directory: options.queue,
    // Dots that are doubled, our own fields, and the head of the file.
    maxBytes: 2 * home.settings.maxMessageBytes + 1_048_576,
    ready: freshMails.resumed,
    draining: () => drain.draining,
    adopted: (id, lastAnswer) => {
      metrics.legAdopted();
      if (lastAnswer !== undefined) lastAnswers.note(id, lastAnswer.text, lastAnswer.at);
      log.info({ event: 'queue', id }, 'taken over from another pod');
    },
  });
  const metrics = new Metrics(
    { size: () => queueSize({ haraka }), held: () => queueDesk.held() },
    () =>
      new Map(Object.entries(prober.results()).map(([route, { reachable }]) => [route, reachable] as const)),
  );
  const hits = new Hits();
  const ledger = await Ledger.open({
    file: options.ledger,
    problem: (problem) => log.error({ event: 'ledger', problem }, 'the counts by domain are not kept'),
  });
  const bundles = new BundleWatch(options.policy, now, {
    loaded: (bundle) => {
      signingKeys.load(
        [...bundle.policy.domains.values()].flatMap((domain) => domain.policy.dkim),
        bundle.secrets,
      );
      metrics.bundleLoad('loaded');
      log.info({ event: 'bundle', bundleHash: bundle.index.bundleHash }, 'policy loaded');
      prober.follow(bundle);
      hits.keep(new Set([...bundle.policy.lists.values()].map(({ source }) => source.name)));
      ledger.keep(bundle.policy.domains);
    },
    failed: (message) => {
      metrics.bundleLoad('failed');
      log.error(
        { event: 'bundle', problem: message },
        'the policy on disk cannot be used; the last good one stays',
      );
    },
  });
  const recipients = new RecipientProbe({
    book: () => bundles.current,
    ask: askBySmtp({ heloName, dns }),
    answered: (route, answer) => metrics.recipientLookup(route, answer),
    troubled: (route, problem) => log.warn({ event: 'lookup', route, problem }),
  });
  const submissionServers = new Set<NetServer>();
  const runtime: Runtime = {
    ...parts,
    lookUp: parts.lookUp ?? ((lookup) => recipients.lookUp(lookup)),
    haraka,
    settings: home.settings,
    bundles,
    store: parts.openStore(haraka.outbound, freshMails, { queue: options.queue, maildir: options.maildir }),
    freshMails,
    transactions,
    connections: new ConnectionPool(),
    drain,
    ledger,
    lastAnswers,
    partnerTls: new PartnerTls(),
    refusals: new RefusalLog(),
    usage: new AccountUsage(),
    signingKeys,
    dns,
    mayBeMx: addressFilter(home.settings.internalMxRanges),
    hits,
    clusterPeers: new ClusterPeers(home.settings.clusterRanges, home.settings.trustedRanges),
    metrics,
    log,
    tlsReady: () => certificates?.current !== undefined,
    submissionServers,
    authenticationDns: cachedDns(resolvers),
    now,
  };
  provideRuntime(runtime);
  await bundles.start();

  const probe = new QueueProbe(options.queue, haraka.outbound.qfile.platformDOT);
  const http = await serveState(
    options.http,
    {
      state: () => currentState(runtime, probe, prober, home.coldHash),
      ready: () => readiness(runtime, probe),
      blocks: () => runtime.refusals.recent(),
      hits: () => runtime.hits.all(),
      queue: queueDesk,
      adoption,
      metrics: async () => ({
        contentType: metrics.registry.contentType,
        text: await metrics.registry.metrics(),
      }),
    },
    token,
  );

  const wanted = { smtp: options.smtp, submission: options.submission, submissions: options.submissions };
  const names = Object.entries(wanted).filter(([, address]) => address !== undefined);
  metrics.legsFound(freshMails.count + (await listQueue(options.queue)).length);
  const servers = await startHaraka(haraka, names.length);
  freshMails.resume();
  await certificates?.follow({
    changed: (certificate) => {
      serveCertificate(haraka, certificate);
      metrics.certificateLoaded(certificate.expires);
      log.info({ event: 'certificate', expires: new Date(certificate.expires * 1000) }, 'certificate in use');
    },
    failed: (problem) => {
      metrics.certificateFailed();
      log.error({ event: 'certificate', problem }, 'no usable certificate on disk; the last good one stays');
    },
  });
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
      const clean = await end(runtime, options, { adoption, token, httpPort: portOf(http) });
      if (!clean)
        log.warn(
          { event: 'stop', sessions: runtime.drain.openSessions },
          'the grace period is over; what still runs is cut off',
        );
      await ledger.close();
      await lastAnswers.close();
      bundles.stop();
      prober.stop();
      certificates?.stop();
      http.closeAllConnections();
      http.close();
    },
  };
}

/**
 * Drains, and gives what waits to other pods meanwhile; says at the end what stays.
 *
 * @returns whether nothing was cut off
 */
async function end(
  runtime: Runtime,
  { queue, http, graceSeconds, handOverTo, terminationLog }: MtaOptions,
  own: { readonly adoption: Adoption; readonly token: string | undefined; readonly httpPort: number },
): Promise<boolean> {
  const { outbound } = runtime.haraka;
  let drained = false;
  const draining = drainAll(runtime, graceSeconds).finally(() => {
    drained = true;
  });
  if (own.token !== undefined && handOverTo.length > 0) {
    const handOver = new HandOver({
      outbound,
      directory: queue,
      peers: handOverTo,
      own: { host: http.host, port: own.httpPort },
      settle: (file) => runtime.freshMails.settleOne(file),
      token: own.token,
      lastAnswer: (id) => runtime.lastAnswers.of(id),
      handedOver: (id) => {
        runtime.metrics.legEnded('handedOver');
        runtime.lastAnswers.forget(id);
        runtime.log.info({ event: 'queue', id }, 'handed over to another pod');
      },
      problem: (problem) => runtime.log.warn({ event: 'queue', problem }, 'not handed over'),
    });
    const begun = () => outbound.delivery_queue.length() === runningDeliveries(runtime);
    const settled = () => drained && own.adoption.busy === 0 && begun();
    await handOver.run(Date.now() + (graceSeconds + handOverSeconds) * 1000, settled);
  }
  const clean = await draining;
  await runtime.freshMails.close();
  if (terminationLog !== undefined) {
    const queued = runtime.freshMails.count + (await listQueue(queue)).length;
    await writeFile(terminationLog, JSON.stringify({ queued })).catch((err: unknown) =>
      runtime.log.warn({ event: 'stop', queued, err }, 'nobody was told what stays in the queue'),
    );
  }
  return clean;
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
