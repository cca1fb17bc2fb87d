import { chmod, cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';

/** What the plugin is built for: Node itself comes along, so nothing else is needed there. */
export const platforms = ['linux-amd64', 'linux-arm64'] as const;
export type Platform = (typeof platforms)[number];

/** The names that npm and its packages have for these processors. */
const cpus: Readonly<Record<Platform, string>> = { 'linux-amd64': 'x64', 'linux-arm64': 'arm64' };

/** The program inside the archive: krew links `kubectl-postern` to it. */
export const pluginProgram = 'postern/bin/postern';

interface PluginInput {
  readonly root: string;
  /** Folder with the compiled program. */
  readonly compiled: string;
  readonly scratch: string;
  readonly platform: Platform;
  /** File to make. */
  readonly archive: string;
  readonly created: Date;
  readonly run: (program: string, args: readonly string[], cwd: string) => string;
}

/** Packs the program with the packages that it needs, and Node, for one platform. @throws Error with what npm or tar said */
export async function buildPlugin(input: PluginInput): Promise<void> {
  const { root, compiled, scratch, platform, archive, created, run } = input;
  const folder = join(scratch, platform);
  const program = join(folder, 'postern');
  await mkdir(join(program, 'bin'), { recursive: true });
  for (const file of ['package.json', 'package-lock.json', '.npmrc', 'LICENSE'])
    await cp(join(root, file), join(program, file));
  await cp(join(root, 'bin/postern'), join(program, 'bin/postern'));
  await chmod(join(program, 'bin/postern'), 0o755);
  await cp(compiled, join(program, 'dist'), { recursive: true });
  const npm = ['ci', '--ignore-scripts', '--omit=dev', '--os=linux', `--cpu=${cpus[platform]}`];
  run('npm', [...npm, '--no-fund', '--no-audit', '--loglevel=error'], program);
  const epoch = Math.floor(created.getTime() / 1000);
  const same = ['--sort=name', `--mtime=@${epoch}`, '--owner=0', '--group=0', '--numeric-owner'];
  // Declarations and source maps are for people who build with a package.
  const without = ['--exclude=*.d.ts', '--exclude=*.d.mts', '--exclude=*.d.cts', '--exclude=*.map'];
  run('tar', ['--create', '--gzip', `--file=${archive}`, ...same, ...without, 'postern'], folder);
}
