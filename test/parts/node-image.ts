// A stand-in for the base image on machines without a registry: Debian from its packages and Node from npm, under the same name.
import { createHash } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { step } from '../cluster/progress.ts';
import { type CommandResult, runCommand } from '../cluster/run-command.ts';
import { type Docker, docker, tryDocker } from './docker.ts';

/** What the Dockerfile calls its base. */
export const nodeImage = 'node:24-bookworm-slim';

const npmVersion = '11.19.1';
const certificates = '/etc/ssl/certs/ca-certificates.crt';
const recipeLabel = 'dev.postern.test.stand-in';

/**
 * Makes sure that the base image is in our own Docker: made once (one to two minutes), then kept. In the machine's own Docker it is
 * left to the build to pull the real one.
 */
export async function ensureNodeImage({ host, own }: Docker): Promise<void> {
  if (!own) return;
  const recipe = createHash('sha256')
    .update(await readFile(import.meta.filename))
    .update(process.version)
    .digest('hex')
    .slice(0, 16);
  const format = `{{index .Config.Labels "${recipeLabel}"}}`;
  const present = await tryDocker(host, ['image', 'inspect', '--format', format, nodeImage]);
  if (present.stdout.trim() === recipe) return;
  await step(`making ${nodeImage} from Debian's packages and npm (once, one to two minutes)`, () =>
    makeImage(host, recipe),
  );
}

async function makeImage(host: string, recipe: string): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'postern-base-'));
  try {
    const npm = `npm@${npmVersion}`;
    succeed('npm pack', await runCommand('npm', ['pack', npm, '--silent', '--pack-destination', scratch]));
    const tarball = join(scratch, `npm-${npmVersion}.tgz`);
    const npmrc = join(scratch, 'npmrc');
    await writeFile(npmrc, await npmSettings());
    const hook = join(scratch, 'hook');
    await writeFile(hook, addNode(tarball, npmrc));
    await chmod(hook, 0o755);
    const rootfs = join(scratch, 'rootfs.tar');
    const args = ['--quiet', '--variant=minbase', `--customize-hook=${hook} "$1"`, 'bookworm', rootfs];
    succeed('mmdebstrap', await runCommand('/usr/bin/mmdebstrap', args));
    const changes = [
      'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      `ENV NODE_VERSION=${process.versions.node}`,
      `LABEL ${recipeLabel}=${recipe}`,
      'CMD ["node"]',
    ];
    await docker(host, ['import', ...changes.flatMap((change) => ['--change', change]), rootfs, nodeImage]);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** What mmdebstrap runs when Debian lies in `$1`: the places are those of the real image. */
function addNode(npmTarball: string, npmrc: string): string {
  return `#!/bin/sh
set -e
local=$1/usr/local
install -D -m 755 '${process.execPath}' "$local/bin/node"
mkdir -p "$local/lib/node_modules/npm" "$local/etc"
tar -xzf '${npmTarball}' -C "$local/lib/node_modules/npm" --strip-components=1 --no-same-owner
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$local/bin/npm"
ln -s ../lib/node_modules/npm/bin/npx-cli.js "$local/bin/npx"
cp '${npmrc}' "$local/etc/npmrc"
if [ -f '${certificates}' ]; then cp '${certificates}' "$local/etc/ca.crt"; else : > "$local/etc/ca.crt"; fi
chroot "$1" groupadd --gid 1000 node
chroot "$1" useradd --uid 1000 --gid node --shell /bin/bash --create-home node
rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin
`;
}

/** How npm reaches its registry from this machine. Nothing that is secret: no token is asked for. */
async function npmSettings(): Promise<string> {
  const lines = ['cafile=/usr/local/etc/ca.crt', 'update-notifier=false'];
  for (const key of ['registry', 'https-proxy', 'noproxy']) {
    const { stdout } = await runCommand('npm', ['config', 'get', key]);
    const value = stdout.trim();
    if (value !== '' && value !== 'null' && value !== 'undefined') lines.push(`${key}=${value}`);
  }
  return `${lines.join('\n')}\n`;
}

function succeed(what: string, { code, stdout, stderr }: CommandResult): void {
  if (code !== 0)
    throw new Error(`${what} failed (exit code ${code}):\n${`${stdout}${stderr}`.slice(-4000)}`);
}
