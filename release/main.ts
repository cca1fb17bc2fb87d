/**
 * `make release`: everything of a release that is a file, into one folder: the charts, a bill of materials, the `kubectl postern`
 * plugin with its krew manifest, and the checksums of all. The image and the signatures are made by .github/workflows/release.yml.
 */
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import packageFile from '../package.json' with { type: 'json' };
import { checksumsOf } from './checksums.ts';
import { krewManifest } from './krew.ts';
import { buildPlugin, type Platform, platforms } from './plugin.ts';
import { billOfMaterials } from './sbom.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const charts = ['postern-crds', 'postern', 'postern-tenant'];

interface ReleaseOptions {
  /** Folder that is made anew. */
  readonly out: string;
  /** Where the files of the release will be found: the krew manifest names it. */
  readonly url: string;
  readonly helm: string;
  readonly platforms: readonly Platform[];
}

/** @throws Error with what a program said that failed */
async function release({ out, url, helm, platforms: wanted }: ReleaseOptions): Promise<void> {
  const { version } = packageFile;
  const created = new Date(run('git', ['log', '-1', '--format=%cI'], root).trim() || Date.now());
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  const scratch = await mkdtemp(join(tmpdir(), 'postern-release-'));
  try {
    const made: string[] = [];
    for (const chart of charts) {
      const args = ['package', join(root, 'charts', chart), '--destination', out];
      run(helm, [...args, '--version', version, '--app-version', version], root);
      made.push(`${chart}-${version}.tgz`);
    }
    const sbom = `postern-${version}.cdx.json`;
    const npmSbom = ['sbom', '--package-lock-only', '--sbom-format=cyclonedx', '--sbom-type=application'];
    const lock = await readFile(join(root, 'package-lock.json'), 'utf8');
    await writeFile(join(out, sbom), billOfMaterials(run('npm', npmSbom, root), lock, created));
    made.push(sbom);

    const compiled = join(scratch, 'dist');
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    run(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', compiled], root);
    const archives = new Map<Platform, string>();
    for (const platform of wanted) {
      const archive = `kubectl-postern-${version}-${platform}.tar.gz`;
      await buildPlugin({ root, compiled, scratch, platform, archive: join(out, archive), created, run });
      archives.set(platform, archive);
      made.push(archive);
    }
    const sums = await checksumsOf(out, made);
    const manifest = 'postern.yaml';
    await writeFile(join(out, manifest), krewManifest({ version, url, archives, sums }));
    const all = await checksumsOf(out, [...made, manifest]);
    const lines = [...all].map(([file, sum]) => `${sum}  ${file}\n`).sort();
    await writeFile(join(out, 'SHA256SUMS'), lines.join(''));
    process.stdout.write(`${[...all.keys(), 'SHA256SUMS'].map((file) => join(out, file)).join('\n')}\n`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Runs a program to its end. @returns what it printed. @throws Error with what it said if it fails */
function run(program: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: 'utf8' });
  if (error !== undefined) throw new Error(`${program}: ${error.message}`);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${stderr}${stdout}`);
  return stdout;
}

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: join(root, 'dist') },
    url: { type: 'string', default: `https://postern.dev/releases/v${packageFile.version}` },
    helm: { type: 'string', default: 'helm' },
    platform: { type: 'string', multiple: true, default: [...platforms] },
  },
});
try {
  const wanted = platforms.filter((platform) => values.platform.includes(platform));
  await release({ out: resolve(values.out), url: values.url, helm: values.helm, platforms: wanted });
} catch (error) {
  process.stderr.write(`release failed: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
