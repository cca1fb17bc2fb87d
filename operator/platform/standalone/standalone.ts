import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { MtaSettings } from '../../api/index.ts';
import type { MtaPolicy, Snapshot, Translation } from '../../compile/model.ts';
import type { DnsOptions } from '../../observe/resolver.ts';
import { type Checks, makeChecks } from '../../reconcile/checks.ts';
import { HeldObjects } from '../../reconcile/held-objects.ts';
import { generateKey } from '../../reconcile/keys.ts';
import { reconcileTenant } from '../../reconcile/tenant.ts';
import type { RenderedMta } from '../platform.ts';
import { ensureCertificate } from './certificate.ts';
import { FolderReader } from './folder.ts';
import { FolderWatch } from './folder-watch.ts';
import { LineLog } from './line-log.ts';
import { type ListenAddresses, MtaProcess, type MtaProcessState } from './mta-process.ts';
import { StandalonePlatform } from './platform.ts';
import { PodPoller } from './pod-poller.ts';
import type { FolderProblem } from './problem.ts';
import { standaloneMta } from './settings.ts';
import { readIfThere, replaceFile, type StatePaths, statePaths } from './state-files.ts';
import { lockState, noteProcess, waitForProcess } from './state-lock.ts';
import type { ShownStatus } from './status-report.ts';

export interface StandaloneOptions {
  /** Folder with the manifests. */
  readonly folder: string;
  /** Folder for everything that is kept: keys, queue, mail, status. Made if it is missing. */
  readonly state: string;
  readonly namespace?: string;
  readonly listen: ListenAddresses;
  readonly dns: DnsOptions;
  /** CIDRs of load balancers whose PROXY line is believed, besides those of mta.yaml. */
  readonly proxyFrom: readonly string[];
  /** Folder with tls.crt and tls.key for STARTTLS; without it a self-signed certificate is made. */
  readonly tls?: string;
  /** Path of the MTA's main module. */
  readonly mtaProgram: string;
  /** Name of this machine, used where mta.yaml does not give one. */
  readonly hostName: string;
  readonly compile: (snapshot: Snapshot) => Translation;
  readonly render: (policy: MtaPolicy) => RenderedMta;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly events: StandaloneEvents;
}

export interface StandaloneEvents {
  /** The MTA serves, and has loaded what the folder says. Called once. */
  readonly ready: (addresses: ListenAddresses) => void;
  readonly reported: (statuses: ReadonlyMap<string, ShownStatus>, problems: readonly FolderProblem[]) => void;
  /** Something of our own that went wrong, for people; it is tried again. */
  readonly trouble: (message: string) => void;
}

const orphanDeadlineMs = 45_000;
const firstRetryMs = 500;
const longestRetryMs = 30_000;
/** setTimeout takes no more; a later alarm is set again when this one rings. */
const longestTimerMs = 2 ** 31 - 1;

/** Postern without a cluster: a folder is watched, compiled, and served by one supervised MTA process. */
export class Standalone {
  private readonly options: StandaloneOptions;
  private readonly paths: StatePaths;
  private readonly stopping = new AbortController();
  private readonly held = new HeldObjects();
  private readonly platform: StandalonePlatform;
  private readonly checks: Checks;
  private readonly mta: MtaProcess;
  private readonly watch: FolderWatch;
  private readonly reader: FolderReader;
  private poller: PodPoller | undefined;
  private serving: MtaProcessState = { serving: false, problem: 'the MTA process was not started yet' };
  private running: Promise<unknown> | undefined;
  private unlock: (() => Promise<void>) | undefined;
  private wake = Promise.withResolvers<void>();
  private folderChanged = true;
  private stale = true;
  private isReady = false;
  private alarm: NodeJS.Timeout | undefined;

  constructor(options: StandaloneOptions) {
    const { folder, state, namespace, now, hostName, events } = options;
    this.options = options;
    this.paths = statePaths(state, standaloneMta);
    this.reader = new FolderReader(folder, state);
    this.platform = new StandalonePlatform({
      folder: this.reader,
      paths: this.paths,
      ...(namespace === undefined ? {} : { namespace }),
      hostName,
      now,
      pods: () => (this.poller === undefined ? [] : [this.poller.observation()]),
      delivered: (rendered, settings) => this.delivered(rendered, settings),
      reported: events.reported,
    });
    this.checks = makeChecks({
      dns: options.dns,
      recordDkim: (served, observation) => {
        this.platform.recordDkim(served, observation);
        this.enqueue();
      },
      recordMailDns: (served, observation) => {
        this.platform.recordMailDns(served, observation);
        this.enqueue();
      },
      failed: (_namespace, object, error) =>
        events.trouble(`${object}: the DNS check broke: ${textOf(error)}`),
      signal: this.stopping.signal,
      now,
    });
    const log = new LineLog(this.paths.log);
    this.mta = new MtaProcess({
      command: (listen) => this.command(listen),
      listen: options.listen,
      log: (line) => log.write(line),
      started: (pid) =>
        void noteProcess(this.paths.child, pid).catch((error) => events.trouble(textOf(error))),
      changed: (serving) => this.mtaChanged(serving),
    });
    this.watch = new FolderWatch({ changed: () => this.enqueueFolder() });
  }

  /**
   * Takes the state folder, reads the manifests and starts everything; `events.ready` says when it serves.
   * @throws Error if the state folder is in use, or the folder cannot be read. Bad manifests are no error: they get a status.
   */
  async start(): Promise<void> {
    const { now } = this.options;
    this.unlock = await lockState(this.paths.lock);
    try {
      await waitForProcess(this.paths.child, orphanDeadlineMs);
      await replaceFile(this.paths.folder, `${resolve(this.options.folder)}\n`);
      await this.platform.load();
      await this.platform.read();
      const token = await this.token();
      const { signal } = this.stopping;
      this.poller = new PodPoller({
        pod: `${standaloneMta}-0`,
        mta: standaloneMta,
        address: () => (this.serving.serving ? this.serving.addresses['http'] : undefined),
        token,
        signal,
        now,
        changed: () => this.enqueue(),
      });
      this.running = Promise.all([this.poller.run(), this.loop()]);
    } catch (error) {
      this.watch.close();
      await this.unlock();
      throw error;
    }
  }

  /** Drains the MTA, waits for its end, and gives the state folder back. */
  async stop(): Promise<void> {
    this.watch.close();
    clearTimeout(this.alarm);
    this.stopping.abort();
    this.wake.resolve();
    await this.running;
    await this.mta.stop();
    await this.checks.idle();
    await this.unlock?.();
  }

  private enqueue(): void {
    this.stale = true;
    this.wake.resolve();
  }

  private enqueueFolder(): void {
    this.folderChanged = true;
    this.wake.resolve();
  }

  /** One reconcile at a time; whatever is asked for meanwhile is done by the next one. */
  private async loop(): Promise<void> {
    let retryMs = firstRetryMs;
    while (!this.stopping.signal.aborted) {
      this.wake = Promise.withResolvers<void>();
      try {
        await this.work();
        retryMs = firstRetryMs;
      } catch (error) {
        if (this.stopping.signal.aborted) break;
        this.options.events.trouble(`${textOf(error)}; tried again in ${retryMs} ms`);
        this.stale = true;
        this.setAlarm(this.options.now() + retryMs);
        retryMs = Math.min(retryMs * 2, longestRetryMs);
        await this.wake.promise;
        continue;
      }
      if (!this.stale && !this.folderChanged) await this.wake.promise;
    }
  }

  private async work(): Promise<void> {
    if (this.folderChanged) {
      // Watched before it is read, so that no change falls in between.
      this.folderChanged = false;
      this.watch.watch(await this.reader.folders());
      if (await this.platform.read()) this.stale = true;
    }
    if (!this.stale) return;
    this.stale = false;
    const { compile, render, now } = this.options;
    const { nextDue } = await reconcileTenant(this.platform.namespace, this.platform, {
      compile,
      render,
      held: this.held,
      now,
      ...this.checks.start,
      generateKey,
      signal: this.stopping.signal,
    });
    this.setAlarm(nextDue);
    if (this.isReady || !this.serving.serving || !this.poller?.isCurrent()) return;
    this.isReady = true;
    this.options.events.ready(this.serving.addresses);
  }

  private setAlarm(due: number | undefined): void {
    clearTimeout(this.alarm);
    // A reconcile that was under way when the end came must not keep the process alive.
    if (due === undefined || this.stopping.signal.aborted) return;
    const wait = Math.min(Math.max(due - this.options.now(), 0), longestTimerMs);
    this.alarm = setTimeout(() => this.enqueue(), wait);
  }

  private async delivered(rendered: RenderedMta, settings: MtaSettings): Promise<void> {
    if (this.options.tls === undefined)
      await ensureCertificate(this.paths.tls, settings.heloName, this.options.now());
    this.poller?.expect(rendered.bundleHash);
    this.mta.ensure(rendered.coldHash);
  }

  private mtaChanged(serving: MtaProcessState): void {
    this.serving = serving;
    void this.noteAddresses(serving).catch((error) => this.options.events.trouble(textOf(error)));
    if (!serving.serving && !this.stopping.signal.aborted) this.options.events.trouble(serving.problem);
    this.poller?.poke();
  }

  /** Lets other commands find the process that serves. */
  private async noteAddresses(serving: MtaProcessState): Promise<void> {
    if (serving.serving) await replaceFile(this.paths.addresses, JSON.stringify(serving.addresses));
    else await rm(this.paths.addresses, { force: true });
  }

  private command(listen: ListenAddresses): readonly string[] {
    const { policy, config, home, queue, journal, maildir, ledger, lastAnswers, token } = this.paths;
    const tls = this.options.tls ?? this.paths.tls;
    const files = { ledger, 'last-answers': lastAnswers, 'token-file': token };
    const folders = { policy, config, home, queue, journal, maildir, tls, ...files };
    const flags = Object.entries({ ...folders, ...listen }).flatMap(([name, value]) => [`--${name}`, value]);
    const proxies =
      this.options.proxyFrom.length === 0 ? [] : ['--proxy-from', this.options.proxyFrom.join(',')];
    const { resolvers } = this.options.dns;
    const dns = resolvers.length === 0 ? [] : ['--resolver', resolvers.join(',')];
    return ['--disable-warning=ExperimentalWarning', this.options.mtaProgram, ...flags, ...proxies, ...dns];
  }

  private async token(): Promise<string> {
    const stored = (await readIfThere(this.paths.token))?.trim();
    if (stored !== undefined && stored.length >= 32) return stored;
    const made = randomBytes(32).toString('base64url');
    await replaceFile(this.paths.token, made);
    return made;
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
