// `npx node test/parts/install.ts [part ...]`: Debian packages of the real servers that tests talk to, once.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { withLock } from '../cluster/lock.ts';
import { step } from '../cluster/progress.ts';

const run = promisify(execFile);

/** What a part needs: packages of Debian 12, and programs by which it is known to be there. */
const parts = {
  argocd: { packages: ['redis-server', 'git'], programs: ['/usr/bin/redis-server', '/usr/bin/git'] },
  bind: {
    packages: ['bind9', 'bind9-utils', 'bind9-dnsutils'],
    programs: ['/usr/sbin/named', '/usr/bin/nsupdate'],
  },
  dovecot: {
    packages: ['dovecot-imapd', 'dovecot-lmtpd', 'dovecot-sieve'],
    programs: ['/usr/sbin/dovecot', '/usr/lib/dovecot/lmtp', '/usr/bin/sievec'],
  },
  docker: {
    packages: ['docker.io', 'iproute2', 'iptables', 'mmdebstrap'],
    programs: ['/usr/sbin/dockerd', '/usr/sbin/iptables', '/usr/sbin/ip', '/usr/bin/mmdebstrap'],
  },
  faketime: { packages: ['faketime'], programs: ['/usr/bin/faketime'] },
  lua: { packages: ['lua5.1'], programs: ['/usr/bin/lua5.1'] },
  opendkim: { packages: ['opendkim'], programs: ['/usr/sbin/opendkim'] },
  'python-dkim': {
    packages: ['python3-dkim', 'python3-nacl'],
    programs: ['/usr/bin/python3', '/usr/bin/dkimverify', '/usr/lib/python3/dist-packages/nacl/__init__.py'],
  },
  node: {
    packages: [
      'containerd',
      'containernetworking-plugins',
      'conntrack',
      'iproute2',
      'iptables',
      'util-linux',
    ],
    programs: ['/usr/bin/containerd', '/usr/lib/cni/ptp', '/usr/sbin/conntrack', '/usr/sbin/iptables'],
  },
  postfix: { packages: ['postfix'], programs: ['/usr/lib/postfix/sbin/master', '/usr/sbin/smtp-sink'] },
  registry: { packages: ['docker-registry'], programs: ['/usr/bin/docker-registry'] },
  strace: { packages: ['strace'], programs: ['/usr/bin/strace'] },
  rspamd: { packages: ['rspamd'], programs: ['/usr/bin/rspamd'] },
} as const;
type Part = keyof typeof parts;
const partNames = Object.keys(parts).filter(isPart);
/** Docker, a node and what Argo CD needs are for the suites of `make e2e`, which install them by themselves. */
export const partsOfE2e: readonly Part[] = ['docker', 'node', 'argocd'];
const defaultParts = partNames.filter((name) => !partsOfE2e.includes(name));

/** Debian asks this script before a package starts its service; 101 means "do not". */
const policyFile = '/usr/sbin/policy-rc.d';

/**
 * Makes sure that real servers are on the machine; a few milliseconds when they are.
 *
 * @param names which; all that the suites of `make test` need if none are given
 * @throws Error that names the packages to install by hand if this process may not or apt-get fails.
 */
export async function ensureDebianParts(names: readonly Part[] = defaultParts): Promise<void> {
  if (missing(names).length === 0) return;
  await withLock(
    'debian-packages',
    () => console.log('  waiting for another install on this machine to finish'),
    // Asked again: whoever held the lock before us may have installed them.
    async () => install(missing(names)),
  );
}

function missing(names: readonly Part[]): Part[] {
  return names.filter((name) => !parts[name].programs.every((program) => existsSync(program)));
}

async function install(names: readonly Part[]): Promise<void> {
  if (names.length === 0) return;
  const packages = names.flatMap((name) => parts[name].packages);
  const byHand = `apt-get install --no-install-recommends ${packages.join(' ')}`;
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    throw new Error(`tests need ${names.join(', ')}: run "${byHand}" as root on Debian 12, then again`);
  }
  const ownPolicy = !existsSync(policyFile);
  if (ownPolicy) await writeFile(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await step(`installing ${packages.join(' ')} (Debian packages for tests, once)`, async () => {
      await aptGet(['update']);
      await aptGet(['install', '-y', '--no-install-recommends', ...packages]);
    });
  } finally {
    if (ownPolicy) await rm(policyFile, { force: true });
  }
  const still = missing(names);
  if (still.length > 0) throw new Error(`${still.join(', ')} still missing after "${byHand}"`);
}

async function aptGet(args: readonly string[]): Promise<void> {
  // Another apt-get on the machine (unattended upgrades, a second clone) holds dpkg's lock for a while: wait for it.
  const options = ['-q', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=3'];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', [...options, ...args], { env, maxBuffer: 64 * 1024 * 1024, timeout: 900_000 });
}

function isPart(name: string): name is Part {
  return Object.hasOwn(parts, name);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const asked = process.argv.slice(2);
  const unknown = asked.filter((name) => !isPart(name));
  try {
    if (unknown.length > 0) {
      throw new Error(`no part named ${unknown.join(', ')}: there are ${partNames.join(', ')}`);
    }
    const wanted = asked.length > 0 ? asked.filter(isPart) : defaultParts;
    await ensureDebianParts(wanted);
    console.log(`  ${wanted.join(', ')}: there`);
  } catch (error) {
    console.error(`install failed: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
