import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../cluster/free-port.ts';
import { ensureDebianParts } from './install.ts';

const run = promisify(execFile);

/** A Postfix that takes mail for some domains and hands all of it to one server: an inbound gateway, or a relay to compare with. */
export interface PostfixGateway {
  readonly host: string;
  readonly port: number;
  /** Of its master process. */
  readonly pid: number;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts a Postfix. Clients may say by XCLIENT which address they are.
 *
 * @param options.host loopback address that it listens on and connects from; nobody else's
 * @param options.header added to every message at its top by a header check on Subject, as a filter would
 */
export async function startPostfixGateway(options: {
  readonly host: string;
  readonly domains: readonly string[];
  readonly next: { readonly host: string; readonly port: number };
  readonly header?: { readonly subject: string; readonly line: string };
}): Promise<PostfixGateway> {
  await ensureDebianParts(['postfix']);
  const { host, domains, next, header } = options;
  const folder = await mkdtemp(join(tmpdir(), 'postern-postfix-'));
  await chmod(folder, 0o755);
  const port = await freePort(host);
  const etc = join(folder, 'etc');
  await mkdir(etc);
  const checks = header === undefined ? undefined : [`/^Subject: ${header.subject}/ PREPEND ${header.line}`];
  await writeConfiguration(etc, {
    'main.cf': [
      'compatibility_level = 3.6',
      `queue_directory = ${folder}/queue`,
      `data_directory = ${folder}/data`,
      'command_directory = /usr/sbin',
      'daemon_directory = /usr/lib/postfix/sbin',
      'mail_owner = postfix',
      'setgid_group = postdrop',
      `maillog_file = ${folder}/log`,
      `maillog_file_prefixes = ${folder}`,
      'myhostname = gateway.example',
      // An address of no interface by name: any loopback address can be bound, but Postfix wants to see this one listed.
      'inet_interfaces = 127.0.0.1',
      `smtp_bind_address = ${host}`,
      'inet_protocols = ipv4',
      'mydestination =',
      'mynetworks =',
      `relay_domains = ${domains.join(' ')}`,
      `relay_transport = smtp:[${next.host}]:${next.port}`,
      'default_transport = error:5.4.4 no route',
      'disable_dns_lookups = yes',
      'smtp_host_lookup = native',
      'smtpd_relay_restrictions = reject_unauth_destination',
      'smtpd_authorized_xclient_hosts = 127.0.0.0/8',
      ...(checks === undefined ? [] : [`header_checks = regexp:${etc}/header_checks`]),
      'in_flow_delay = 0',
      'smtpd_error_sleep_time = 0',
    ],
    'master.cf': [
      `${host}:${port} inet n - n - - smtpd`,
      'cleanup unix n - n - 0 cleanup',
      'qmgr unix n - n 300 1 qmgr',
      'tlsmgr unix - - n 1000? 1 tlsmgr',
      'rewrite unix - - n - - trivial-rewrite',
      'bounce unix - - n - 0 bounce',
      'defer unix - - n - 0 bounce',
      'trace unix - - n - 0 bounce',
      'smtp unix - - n - - smtp',
      'error unix - - n - - error',
      'anvil unix - - n - 1 anvil',
      'scache unix - - n - 1 scache',
      'proxymap unix - - n - - proxymap',
      'postlog unix-dgram n - n - 1 postlogd',
    ],
    ...(checks !== undefined && { header_checks: checks }),
  });
  await makeQueue(folder);
  const master = spawn('/usr/lib/postfix/sbin/master', ['-c', etc, '-s'], { stdio: 'ignore' });
  const { pid } = master;
  if (pid === undefined) throw new Error('Postfix did not start');
  return {
    host,
    port,
    pid,
    [Symbol.asyncDispose]: async () => {
      await stop(master);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function writeConfiguration(etc: string, files: Readonly<Record<string, readonly string[]>>) {
  // Postfix waits before it reads what is younger than two seconds.
  const before = new Date(Date.now() - 60_000);
  for (const [name, lines] of Object.entries(files)) {
    await writeFile(join(etc, name), `${lines.join('\n')}\n`);
    await utimes(join(etc, name), before, before);
  }
}

async function makeQueue(folder: string): Promise<void> {
  const names = 'active bounce corrupt defer deferred flush hold incoming private saved trace'.split(' ');
  const make = async (path: string, mode: number) => {
    await mkdir(join(folder, path), { recursive: true });
    await chmod(join(folder, path), mode);
  };
  await make('queue', 0o755);
  await make('queue/pid', 0o755);
  await make('data', 0o700);
  for (const name of names) await make(`queue/${name}`, 0o700);
  await make('queue/maildrop', 0o730);
  await make('queue/public', 0o710);
  await run('chown', ['postfix', 'data', ...names.map((name) => `queue/${name}`)], { cwd: folder });
  await run('chown', ['postfix:postdrop', 'queue/maildrop', 'queue/public'], { cwd: folder });
}

async function stop(master: ChildProcess): Promise<void> {
  if (master.exitCode !== null || master.signalCode !== null) return;
  master.kill('SIGTERM');
  await once(master, 'exit');
}
