import { execFile } from 'node:child_process';
import { rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { ensureGo } from './go-toolchain.ts';
import { runQuietly } from './run-quietly.ts';

const run = promisify(execFile);

export interface GoBuild {
  /** Folder of the go.mod that pins everything. */
  readonly module: string;
  /** What to build: an import path, or `.` for the module itself. */
  readonly package: string;
  readonly linkerFlags?: readonly string[];
  /** Path of the program to make; its folder exists. While it is built, it lies there as `.<name>.<process>`. */
  readonly program: string;
}

/**
 * Builds a program from its Go module, behind everything else that the machine does.
 *
 * @throws Error with the end of what the go command said.
 */
export async function buildWithGo(build: GoBuild): Promise<void> {
  const toolchain = await ensureGo();
  const unfinished = join(dirname(build.program), `.${basename(build.program)}.${process.pid}`);
  const linkerFlags = ['-s', '-w', ...(build.linkerFlags ?? [])].join(' ');
  const args = ['build', '-trimpath', '-buildvcs=false', '-ldflags', linkerFlags, '-o', unfinished];
  const nice = ['-n', '10', toolchain.go, ...args, build.package];
  await runQuietly('nice', nice, build.module, toolchain.env);
  await rename(unfinished, build.program);
}

/**
 * The folder with the source of a module that a build has fetched.
 *
 * @param module folder of the go.mod that requires it
 * @param path import path of the module
 * @throws Error if the go.mod does not require it
 */
export async function goModuleFolder(module: string, path: string): Promise<string> {
  const toolchain = await ensureGo();
  const env = { ...process.env, ...toolchain.env };
  const args = ['list', '-m', '-f', '{{.Dir}}', path];
  const { stdout } = await run(toolchain.go, args, { cwd: module, env });
  return stdout.trim();
}
