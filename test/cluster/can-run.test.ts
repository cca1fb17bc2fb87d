import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const program = fileURLToPath(new URL('../e2e/can-run.ts', import.meta.url));
const nobody = 65_534;

test('whoever is not root is told in one line why no node can be run', () => {
  const isRoot = process.getuid?.() === 0;
  const { status, stdout } = spawnSync(process.execPath, [program], {
    encoding: 'utf8',
    ...(isRoot && { uid: nobody, gid: nobody }),
  });
  expect([status, stdout]).toEqual([
    1,
    'a node needs root: it makes namespaces, mounts and control groups\n',
  ]);
});
