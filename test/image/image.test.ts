import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import * as z from 'zod';
import { docker, tryDocker } from '../parts/docker.ts';
import { nodeImage } from '../parts/node-image.ts';
import { contentOf, inspectImage } from './content.ts';

const host = inject('dockerHost');
const image = inject('image');
const root = fileURLToPath(new URL('../..', import.meta.url));
const packageFile = z
  .object({
    version: z.string(),
    dependencies: z.record(z.string(), z.string()),
    devDependencies: z.record(z.string(), z.string()),
    optionalDependencies: z.record(z.string(), z.string()),
  })
  .parse(JSON.parse(await readFile(`${root}/package.json`, 'utf8')));
const megabyte = 1_000_000;

describe('IM1: the image', () => {
  test('runs as a numeric user other than root', async () => {
    expect((await inspectImage(host, image)).Config.User).toMatch(/^[1-9]\d{4,}:[1-9]\d{4,}$/);
  });

  test('starts the program itself, without a shell, and helps whoever says nothing', async () => {
    const { Config } = await inspectImage(host, image);
    expect(Config.Entrypoint).toEqual(['node', '/opt/postern/cli/main.js']);
    expect(Config.Cmd).toEqual(['--help']);
  });

  test('has the labels of OCI', async () => {
    const { Config } = await inspectImage(host, image);
    const names = ['title', 'description', 'licenses', 'base.name', 'version', 'revision', 'created'];
    for (const name of names) expect(Config.Labels?.[`org.opencontainers.image.${name}`]).toMatch(/./);
    expect(Config.Labels?.['org.opencontainers.image.version']).toBe(packageFile.version);
  });

  test('adds less than 80 MB to its base, and lies on it', async () => {
    const [ours, base] = await Promise.all([inspectImage(host, image), inspectImage(host, nodeImage)]);
    const added = ours.Size - base.Size;
    console.log(`  the image adds ${(added / megabyte).toFixed(1)} MB to ${nodeImage}`);
    expect(ours.RootFS.Layers.slice(0, base.RootFS.Layers.length)).toEqual(base.RootFS.Layers);
    expect(added).toBeGreaterThan(10 * megabyte);
    expect(added).toBeLessThan(80 * megabyte);
  });
});

describe('what is in the image', () => {
  let content: Awaited<ReturnType<typeof contentOf>>;
  beforeAll(async () => {
    content = await contentOf(host, image);
  });

  test('the program and its licence', () => {
    const wanted = ['cli/main.js', 'mta/main.js', 'mta/plugin.js', 'package.json', 'LICENSE'];
    expect(content.files).toEqual(expect.arrayContaining(wanted));
  });

  test('no TypeScript, no source map, no machine code, no test of ours', () => {
    const strange = content.files.filter(
      (file) =>
        /\.(?:[cm]?ts|map|node|bare|so)$/.test(file) ||
        (!file.startsWith('node_modules/') && /\.test\.|fixture|testdata/.test(file)),
    );
    expect(strange).toEqual([]);
  });

  test('no private key', () => {
    expect(content.keys).toEqual([]);
  });

  test('the packages that the program needs, and none that only developers do', () => {
    const direct = (names: object) => Object.keys(names).map((name) => `node_modules/${name}`);
    expect(content.packages).toEqual(expect.arrayContaining(direct(packageFile.dependencies)));
    const others = { ...packageFile.devDependencies, ...packageFile.optionalDependencies };
    const unwanted = direct(others).filter((folder) =>
      content.files.some((file) => file.startsWith(`${folder}/`)),
    );
    expect(unwanted).toEqual([]);
  });

  test('every package still has its main module', () => {
    const onlyTypes = /\/(?:@types\/[^/]+|undici-types)$/;
    expect(content.lost.filter((folder) => !onlyTypes.test(folder))).toEqual([]);
  });
});

describe('commands in the image', () => {
  const run = (...args: readonly string[]) =>
    docker(host, ['run', '--rm', '--network=none', '--read-only', '--cap-drop=ALL', image, ...args]);

  test('--version is the version of the package', async () => {
    expect((await run('--version')).trim()).toBe(packageFile.version);
  });

  test('operator --help names its flags', async () => {
    expect(await run('operator', '--help')).toMatch(/--\w/);
  });

  test('lint judges manifests by the whole compiler', async () => {
    const folder = `${root}/examples/quickstart/manifests`;
    const { code, stdout, stderr } = await tryDocker(host, [
      ...['run', '--rm', '--network=none', '--read-only', '--volume', `${folder}:/policy:ro`],
      ...[image, 'lint', '-f', '/policy'],
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/./);
  });
});
