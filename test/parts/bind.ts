// BIND as the DNS of a test: authoritative servers that can be edited while they run, and a resolver in front of them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild } from '../cluster/child.ts';
import { freePort } from '../cluster/free-port.ts';
import { ensureDebianParts } from './install.ts';

/** An authoritative server on 127.0.0.1. */
export interface NameServer {
  /** `address:port`. */
  readonly server: string;
  /** Commands of nsupdate, such as `update add a.test. 1 TXT "x"`; all of them act when it resolves. */
  update(...commands: readonly string[]): Promise<void>;
  /** What it was asked until now, each as `<name> <type>` in lower case, in order. */
  queries(): Promise<string[]>;
  stop(): Promise<void>;
}

/** A recursive resolver on 127.0.0.1. */
export type Resolver = Pick<NameServer, 'server' | 'queries' | 'stop'>;

/** Content of a zone: lines of a zone file without SOA; `broken`: the server has the zone and cannot load it (SERVFAIL). */
export type Zone = readonly string[] | 'broken';

/**
 * Starts an authoritative server; names outside its zones are refused.
 *
 * @param zones by name, `.` for a root that answers NXDOMAIN to the rest
 */
export async function startNameServer(zones: Readonly<Record<string, Zone>>): Promise<NameServer> {
  const files = Object.entries(zones).map(([name, zone], index) => ({ name, zone, file: `zone-${index}` }));
  const config = files.map(
    ({ name, file }) =>
      `zone "${name}" { type primary; file "${file}"; allow-update { 127.0.0.1; }; check-names ignore; };`,
  );
  const options = ['recursion no;', 'dnssec-validation no;', 'minimal-responses yes;'];
  const named = await startNamed(options, config, async (folder) => {
    for (const { zone, file } of files) {
      if (zone !== 'broken') await writeFile(join(folder, file), zoneFile(zone));
    }
  });
  return { ...named, update: (...commands) => nsupdate(named.server, commands) };
}

/**
 * Starts a recursive resolver that forgets within a second.
 *
 * @param forwarder the name server that it asks about everything, `address:port`
 */
export function startResolver(forwarder: string): Promise<Resolver> {
  const [address, port] = forwarder.split(':');
  const options = [
    'recursion yes;',
    'dnssec-validation no;',
    'max-cache-ttl 1;',
    'max-ncache-ttl 1;',
    'servfail-ttl 0;',
    'forward only;',
    `forwarders { ${address} port ${port}; };`,
  ];
  return startNamed(options, [], async () => {});
}

type Prepare = (folder: string) => Promise<void>;

/** Tries again when somebody else was given the port between our looking for it and named taking it. */
async function startNamed(
  options: readonly string[],
  zones: readonly string[],
  prepare: Prepare,
): Promise<Resolver> {
  await ensureDebianParts(['bind']);
  for (let tries = 1; tries < 4; tries += 1) {
    const named = await startNamedOn(await freePort(), options, zones, prepare);
    if (named !== undefined) return named;
  }
  throw new Error('named found three ports taken that were free a moment before');
}

/** @returns undefined if the port is taken */
async function startNamedOn(
  port: number,
  options: readonly string[],
  zones: readonly string[],
  prepare: Prepare,
): Promise<Resolver | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-named-'));
  const queryLog = join(folder, 'queries.log');
  const common = [
    `directory "${folder}";`,
    'pid-file none;',
    'lock-file none;',
    `session-keyfile "${folder}/session.key";`,
    `managed-keys-directory "${folder}";`,
    `listen-on port ${port} { 127.0.0.1; };`,
    'listen-on-v6 { none; };',
    'allow-query { any; };',
    'notify no;',
    'querylog yes;',
    'empty-zones-enable no;',
    'max-cache-size 16m;',
  ];
  const channels = `channel asked { file "${queryLog}"; }; category queries { asked; }; category default { default_stderr; };`;
  const lines = [
    'controls { };',
    `logging { ${channels} };`,
    'options {',
    ...common,
    ...options,
    '};',
    ...zones,
    '',
  ];
  await prepare(folder);
  await writeFile(queryLog, '');
  await writeFile(join(folder, 'named.conf'), lines.join('\n'));
  const args = ['-f', '-4', '-n', '1', '-c', join(folder, 'named.conf')];
  const named = startChild('/usr/sbin/named', args, { cwd: folder, graceTenths: 30 });
  const stop = async () => {
    await named.stop();
    await rm(folder, { recursive: true, force: true });
  };
  // Without the UDP port named ends, without the TCP port it goes on and merely says so.
  const portTaken = () => /unable to listen|address in use/.test(named.log());
  try {
    // The two lines come in either order, and queries in between would be answered SERVFAIL.
    await named.ready(
      async () => / running$/m.test(named.log()) && /all zones loaded$/m.test(named.log()),
      20_000,
    );
  } catch (error) {
    await stop();
    if (portTaken()) return undefined;
    throw error;
  }
  if (portTaken()) {
    await stop();
    return undefined;
  }
  const queries = async () => {
    const log = await readFile(queryLog, 'utf8');
    return [...log.matchAll(/\bquery: (\S+) IN (\S+)/g)].map(([, name, type]) =>
      `${name} ${type}`.toLowerCase(),
    );
  };
  return { server: `127.0.0.1:${port}`, queries, stop };
}

function zoneFile(lines: readonly string[]): string {
  return ['$TTL 1', '@ IN SOA ns.invalid. hostmaster.invalid. 1 60 60 3600 1', ...lines, ''].join('\n');
}

async function nsupdate(server: string, commands: readonly string[]): Promise<void> {
  const child = spawn('/usr/bin/nsupdate', ['-t', '10'], { stdio: ['pipe', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  child.stdin.end([`server ${server.replace(':', ' ')}`, ...commands, 'send', ''].join('\n'));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`nsupdate "${commands.join('; ')}" failed: ${errors}`);
}
