// `npx node test/e2e-argocd/install.ts`: the programs of Argo CD, built once from its Go module, and its CRDs.
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildWithGo, goModuleFolder } from '../cluster/go-build.ts';
import { ensurePrograms } from '../cluster/install.ts';
import { withLock } from '../cluster/lock.ts';
import { cacheRoot } from '../cluster/programs.ts';
import { step } from '../cluster/progress.ts';
import { ensureDebianParts } from '../parts/install.ts';

/** As go/go.mod has it. Later minor versions need a module that the public proxy does not serve. */
const version = 'v3.1.16';
const controller = 'argocd-application-controller';
const repoServer = 'argocd-repo-server';

const folder = join(cacheRoot(), `argocd-${version}`);
const module = fileURLToPath(new URL('go', import.meta.url));

/** Where the parts of Argo CD lie. */
export const argoCdParts = {
  controller: join(folder, controller),
  repoServer: join(folder, repoServer),
  /** Folder with the CustomResourceDefinitions of Application and AppProject. */
  crds: join(folder, 'crds'),
} as const;

/**
 * Makes sure that Argo CD can be started, with all that it needs beside a control plane: git, redis and helm. Finds everything in
 * well under a second; the first time it builds Argo CD.
 *
 * @throws Error with the end of the failed tool's output.
 */
export async function ensureArgoCd(): Promise<void> {
  await ensurePrograms();
  await ensureDebianParts(['argocd']);
  if (isThere()) return;
  await mkdir(folder, { recursive: true });
  const onWait = () => console.log('  waiting for another install on this machine to finish');
  await withLock(folder, onWait, async () => {
    if (isThere()) return;
    // Left by installs that were killed: with the lock in hand, nobody is writing them.
    for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true });
    const unfinished = join(folder, '.crds');
    await step(
      `building Argo CD ${version} from its Go module (once, 5 to 10 minutes on 2 cores)`,
      async () => {
        await buildWithGo({ module, package: '.', program: argoCdParts.controller });
        const source = await goModuleFolder(module, 'github.com/argoproj/argo-cd/v3');
        await mkdir(unfinished);
        for (const kind of ['application', 'appproject'])
          await cp(join(source, 'manifests/crds', `${kind}-crd.yaml`), join(unfinished, `${kind}.yaml`));
      },
    );
    await symlink(controller, argoCdParts.repoServer);
    await rename(unfinished, argoCdParts.crds);
  });
}

function isThere(): boolean {
  return Object.values(argoCdParts).every((path) => existsSync(path));
}

if (import.meta.main) {
  try {
    await ensureArgoCd();
    for (const [part, path] of Object.entries(argoCdParts)) console.log(`  ${part}: ${path}`);
  } catch (error) {
    console.error(`install failed: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
