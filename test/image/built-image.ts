// Before the tests of the image: Docker, the base and the image, each made only if it is not there.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import * as z from 'zod';
import { step } from '../cluster/progress.ts';
import { type Docker, docker, startDocker } from '../parts/docker.ts';
import { ensureNodeImage } from '../parts/node-image.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** For `DOCKER_HOST`. */
    readonly dockerHost: string;
    /** Reference of the image that was built from this tree. */
    readonly image: string;
  }
}

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Reference of the image that is built. */
export const image = 'postern:test';

/** Called by vitest; what it returns is called after the last test. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const daemon = await buildImage();
  // testcontainers reads its settings from here, in the processes that run the tests.
  process.env['DOCKER_HOST'] = daemon.host;
  // Its watchdog is an image to pull. Our own daemon ends its containers when this process ends, however it ends.
  if (daemon.own) process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true';
  project.provide('dockerHost', daemon.host);
  project.provide('image', image);
  return daemon.stop;
}

/** Builds the image of this tree. @returns the daemon that has it, for the caller to stop */
export async function buildImage(): Promise<Docker> {
  const daemon = await startDocker();
  try {
    await ensureNodeImage(daemon);
    await step('building the image (a minute or two when nothing is cached)', () => build(daemon));
    return daemon;
  } catch (error) {
    await daemon.stop();
    throw error;
  }
}

async function build({ host, own }: Docker): Promise<void> {
  const { version } = z
    .object({ version: z.string() })
    .parse(JSON.parse(await readFile(`${root}/package.json`, 'utf8')));
  const options = [...(own ? ['--network=host'] : []), '--build-arg', `VERSION=${version}`];
  const buildTarget = (tag: string, target: readonly string[] = []) =>
    docker(host, ['build', '--quiet', ...options, ...target, '--tag', tag, root]);
  if (!own) {
    await buildTarget(image);
    return;
  }
  // Each stage under a name, so that what an earlier tree left can go while the cache of this one stays.
  for (const stage of ['packages', 'build']) await buildTarget(`${image}-${stage}`, ['--target', stage]);
  await buildTarget(image);
  await docker(host, ['image', 'prune', '--force']);
}
