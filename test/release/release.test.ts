// What `make release` makes, used as those will who take it: helm, kubectl, sha256sum.
import { mkdtempDisposable, readdir, readFile, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import packageFile from '../../package.json' with { type: 'json' };
import { root } from '../charts/helm.ts';
import { requireProgram } from '../cluster/programs.ts';
import { runCommand } from '../cluster/run-command.ts';
import { startRegistry } from '../parts/registry.ts';

const { version } = packageFile;
const url = 'https://example.org/releases/v1';
const archive = `kubectl-postern-${version}-linux-${process.arch === 'arm64' ? 'arm64' : 'amd64'}.tar.gz`;
/** npm fetches what the plugin needs. */
const releaseTimeoutMs = 600_000;

let folder: Awaited<ReturnType<typeof mkdtempDisposable>>;

const succeed = async (program: string, ...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await runCommand(program, args);
  expect([program, args.join(' '), code, stderr]).toEqual([program, args.join(' '), 0, expect.any(String)]);
  return stdout;
};
const at = (file: string) => join(folder.path, 'dist', file);

beforeAll(async () => {
  folder = await mkdtempDisposable(join(tmpdir(), 'postern-release-test-'));
  const platform = archive.replace(/^.*(linux-\w+)\.tar\.gz$/, '$1');
  const args = ['--out', join(folder.path, 'dist'), '--helm', requireProgram('helm'), '--url', url];
  await succeed(process.execPath, join(root, 'release/main.ts'), ...args, '--platform', platform);
}, releaseTimeoutMs);

afterAll(() => folder?.remove());

describe('IM2: make release', () => {
  test('IM2: the files are those of the list, and have its checksums', async () => {
    const files = (await readdir(join(folder.path, 'dist'))).filter((file) => file !== 'SHA256SUMS');
    expect(files.sort()).toEqual(
      [
        archive,
        `postern-${version}.cdx.json`,
        `postern-${version}.tgz`,
        `postern-crds-${version}.tgz`,
        `postern-tenant-${version}.tgz`,
        'postern.yaml',
      ].sort(),
    );
    const list = await readFile(at('SHA256SUMS'), 'utf8');
    expect(
      list
        .trim()
        .split('\n')
        .map((line) => line.split('  ')[1])
        .sort(),
    ).toEqual(files.sort());
    const { code, stdout } = await runCommand('sh', [
      '-c',
      `cd '${join(folder.path, 'dist')}' && sha256sum -c SHA256SUMS`,
    ]);
    expect([code, stdout.match(/: OK$/gm)?.length]).toEqual([0, files.length]);
  });

  test('IM2: helm takes the packed charts, and finds in them what lies in the folder', async () => {
    for (const chart of ['postern-crds', 'postern', 'postern-tenant']) {
      const values = join(root, 'charts', chart, 'ci/default-values.yaml');
      const template = (where: string) =>
        succeed(requireProgram('helm'), 'template', 'x', where, `--values=${values}`);
      expect(await template(at(`${chart}-${version}.tgz`))).toBe(await template(join(root, 'charts', chart)));
    }
  });

  test('IM2: helm pushes the packed charts into a registry, and installs from there what was pushed', async () => {
    const registry = await startRegistry();
    try {
      const charts = `oci://${registry.address}/postern/charts`;
      for (const chart of ['postern-crds', 'postern', 'postern-tenant']) {
        await succeed(requireProgram('helm'), 'push', at(`${chart}-${version}.tgz`), charts, '--plain-http');
        const from = [`${charts}/${chart}`, `--version=${version}`, '--plain-http'];
        const values = `--values=${join(root, 'charts', chart, 'ci/default-values.yaml')}`;
        expect(await succeed(requireProgram('helm'), 'template', 'x', ...from, values)).toBe(
          await succeed(requireProgram('helm'), 'template', 'x', join(root, 'charts', chart), values),
        );
      }
    } finally {
      await registry.stop();
    }
  });

  test('IM2: the bill of materials names every package that the program is made of, with licence and digest', async () => {
    const component = z.object({
      name: z.string(),
      version: z.string(),
      purl: z.string().startsWith('pkg:npm/'),
      licenses: z.array(z.unknown()).min(1),
      hashes: z.array(z.object({ alg: z.literal('SHA-512'), content: z.string().length(128) })).length(1),
    });
    const bill = z
      .object({
        bomFormat: z.literal('CycloneDX'),
        serialNumber: z.string().regex(/^urn:uuid:[0-9a-f-]{36}$/),
        metadata: z.object({ component: z.object({ name: z.string(), version: z.string() }) }),
        components: z.array(component),
      })
      .parse(JSON.parse(await readFile(at(`postern-${version}.cdx.json`), 'utf8')));
    expect(bill.metadata.component).toMatchObject({ name: 'postern', version });
    const lock = z
      .object({
        packages: z.record(z.string(), z.object({ version: z.string(), dev: z.boolean().optional() })),
      })
      .parse(JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')));
    const locked = Object.entries(lock.packages).flatMap(([path, { version: own, dev }]) =>
      path === '' || dev === true ? [] : [`${path.replace(/^.*node_modules\//, '')}@${own}`],
    );
    const named = bill.components.map(({ name, version: own }) => `${name}@${own}`);
    expect([...new Set(locked)].filter((one) => !named.includes(one))).toEqual([]);
    expect(named.filter((name) => name.startsWith('vitest@'))).toEqual([]);
  });

  test('IM2: the job that releases names every action by its commit, which nobody can move', async () => {
    const text = await readFile(join(root, '.github/workflows/release.yml'), 'utf8');
    const used = text.match(/uses: .*/g) ?? [];
    expect(used).toHaveLength(9);
    expect(used.filter((line) => !/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))).toEqual(
      [],
    );
  });
});

describe('IM3: kubectl postern', () => {
  test('IM3: the krew manifest names the archive, its digest, and a program in it', async () => {
    const manifest = parse(await readFile(at('postern.yaml'), 'utf8'));
    const sum = (await readFile(at('SHA256SUMS'), 'utf8')).split('\n').find((line) => line.endsWith(archive));
    expect(manifest).toMatchObject({
      apiVersion: 'krew.googlecontainertools.github.com/v1alpha2',
      kind: 'Plugin',
      metadata: { name: 'postern' },
      spec: { version: `v${version}`, shortDescription: expect.stringMatching(/^.{10,50}$/) },
    });
    expect(manifest.spec.platforms).toEqual([
      {
        selector: { matchLabels: { os: 'linux', arch: process.arch === 'arm64' ? 'arm64' : 'amd64' } },
        uri: `${url}/${archive}`,
        sha256: sum?.split(' ')[0],
        bin: 'postern/bin/postern',
      },
    ]);
  });

  test('IM3: unpacked and linked as krew does, kubectl finds it, and it runs with the Node that it brings', async () => {
    await succeed('tar', '-xzf', at(archive), '-C', folder.path);
    await symlink(join(folder.path, 'postern/bin/postern'), join(folder.path, 'kubectl-postern'));
    const kubectl = requireProgram('kubectl');
    // No Node.js on PATH.
    const path = `${folder.path}:${dirname(kubectl)}:/usr/bin:/bin`;
    const postern = (...args: string[]) => succeed('env', '-i', `PATH=${path}`, kubectl, 'postern', ...args);
    expect(await postern('--version')).toBe(`${version}\n`);
    const manifests = join(root, 'examples/quickstart/manifests');
    const explained = await postern(
      ...['explain', '-f', manifests, '--client-ip', '127.0.0.20', '-o', 'json'],
      ...['--mail-from', 'a@b.example', '--rcpt', 'postmaster@example.com'],
    );
    expect(JSON.parse(explained)).toMatchObject({ recipients: [{ verdict: 'accept' }] });
  });
});

test('IM2: the release job makes the files by targets of the Makefile, signs them, and gives itself no right that it does not need', async () => {
  const workflow = parse(await readFile(join(root, '.github/workflows/release.yml'), 'utf8'));
  const makefile = await readFile(join(root, 'Makefile'), 'utf8');
  const steps: { run?: string; uses?: string }[] = workflow.jobs.release.steps;
  const script = steps.flatMap(({ run }) => run ?? []).join('\n');
  const targets = [...script.matchAll(/^make (\w+)/gm)].map(([, target]) => target);
  expect(targets).toEqual(['check', 'release']);
  for (const target of targets) expect(makefile).toMatch(new RegExp(`^${target}:`, 'm'));
  expect(script).toContain('cosign sign --yes');
  expect(script).toContain('cosign sign-blob --yes');
  expect(Object.keys(workflow.permissions).sort()).toEqual([
    'attestations',
    'contents',
    'id-token',
    'packages',
  ]);
});
