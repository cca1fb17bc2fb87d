// A Go compiler for machines that have none, or one too old: Debian 12 ships 1.19, Kubernetes 1.35 wants 1.25.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { fetchBytes } from './fetch.ts';
import { cacheRoot, versions } from './programs.ts';
import { step } from './progress.ts';
import { goModuleHash, zipEntries } from './zip.ts';

const run = promisify(execFile);

/** The `go` line of go/go.mod. */
const OLDEST_GO = [1, 25] as const;

/** From Go's checksum database: /lookup/golang.org/toolchain@v0.0.1-go1.26.8.linux-amd64 and -arm64. */
const TOOLCHAIN_HASHES: Readonly<Record<string, string>> = {
  'linux-amd64': 'h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM=',
  'linux-arm64': 'h1:sYL/O6MqS68ML0kjsQ36WoYIpJqkw60TxizWUYUKQMc=',
};

export interface GoToolchain {
  /** Path of the go command. */
  readonly go: string;
  /** What to add to the environment of a build. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * The Go to build with: the one on PATH if it is new enough, else Go's own toolchain module, fetched from the module
 * proxy (`GOPROXY`) into the cache and checked against the pinned hash.
 *
 * @throws Error that names every proxy tried, or the platform for which no hash is pinned.
 */
export async function ensureGo(): Promise<GoToolchain> {
  const env = { GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly', GOWORK: 'off', CGO_ENABLED: '0' };
  if (await isNewEnough('go')) return { go: 'go', env };
  const platform = `${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}`;
  const root = join(cacheRoot(), `go${versions.go}.${platform}`);
  const go = join(root, 'bin', 'go');
  if (!existsSync(go)) {
    await step(
      `fetching Go ${versions.go} (no Go ${OLDEST_GO.join('.')} or later on PATH; 70 MB, once)`,
      () => fetchToolchain(platform, root),
    );
  }
  // The module cache of a Go that only we use stays in our cache folder, and can be deleted with it.
  return {
    go,
    env: { ...env, GOMODCACHE: join(cacheRoot(), 'go-mod'), GOFLAGS: '-mod=readonly -modcacherw' },
  };
}

async function isNewEnough(go: string): Promise<boolean> {
  try {
    const { stdout } = await run(go, ['env', 'GOVERSION'], { env: { ...process.env, GOTOOLCHAIN: 'local' } });
    const [, major, minor] = /^go(\d+)\.(\d+)/.exec(stdout) ?? [];
    return Number(major) > OLDEST_GO[0] || (Number(major) === OLDEST_GO[0] && Number(minor) >= OLDEST_GO[1]);
  } catch {
    return false;
  }
}

async function fetchToolchain(platform: string, root: string): Promise<void> {
  const hash = TOOLCHAIN_HASHES[platform];
  if (hash === undefined) {
    throw new Error(
      `no Go toolchain is pinned for ${platform}: put Go ${OLDEST_GO.join('.')} or later on PATH`,
    );
  }
  const version = `v0.0.1-go${versions.go}.${platform}`;
  const archive = await fetchFromProxies(`golang.org/toolchain/@v/${version}.zip`);
  const entries = zipEntries(archive);
  const found = goModuleHash(entries);
  if (found !== hash) throw new Error(`golang.org/toolchain@${version} has hash ${found}, expected ${hash}`);

  // Installs hold a lock, so what lies here was left by one that was killed.
  const unfinished = `${root}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  const prefix = `golang.org/toolchain@${version}/`;
  for (const entry of entries) {
    // Module zips cannot hold a second go.mod, so Go stores those of its own tree as _go.mod (cmd/go/internal/toolchain).
    const path = join(unfinished, entry.name.slice(prefix.length).replace(/(^|\/)_go\.mod$/, '$1go.mod'));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, entry.read());
    // Module zips carry no modes either: the go command makes these two folders executable, and so do we.
    if (/^(bin|pkg\/tool)\//.test(entry.name.slice(prefix.length))) await chmod(path, 0o755);
  }
  await rename(unfinished, root);
}

async function fetchFromProxies(path: string): Promise<Buffer> {
  const proxies = (process.env['GOPROXY'] || 'https://proxy.golang.org')
    .split(/[,|]/)
    .filter((proxy) => /^https?:/.test(proxy));
  const failures: string[] = [];
  for (const proxy of proxies) {
    try {
      return await fetchBytes(`${proxy.replace(/\/$/, '')}/${path}`);
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(`no Go module proxy serves ${path}: ${failures.join('; ') || 'GOPROXY names none'}`);
}
