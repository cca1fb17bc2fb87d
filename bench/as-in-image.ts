import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Compiles the product as the image has it, and lets processes that `work` starts have the image's options of Node.js.
 *
 * @param work gets a function from a module, such as `mta/main.js`, to its file
 */
export async function asInImage<T>(work: (program: (module: string) => string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-bench-'));
  const { NODE_OPTIONS: before } = process.env;
  try {
    const target = join(directory, 'dist');
    await promisify(execFile)('npx', ['tsc', '-p', 'tsconfig.build.json', '--outDir', target], { cwd: root });
    await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
    process.env['NODE_OPTIONS'] = await imageNodeOptions();
    return await work((module) => join(target, module));
  } finally {
    if (before === undefined) delete process.env['NODE_OPTIONS'];
    else process.env['NODE_OPTIONS'] = before;
    await rm(directory, { recursive: true });
  }
}

async function imageNodeOptions(): Promise<string> {
  const dockerfile = await readFile(join(root, 'Dockerfile'), 'utf8');
  const [, quoted, bare] = /\bNODE_OPTIONS=(?:"([^"]*)"|(\S*))/.exec(dockerfile) ?? [];
  return quoted ?? bare ?? '';
}
