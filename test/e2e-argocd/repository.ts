// A git repository on this machine, as the source of an Application.
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { runCommand } from '../cluster/run-command.ts';

/** Content of files by path; undefined takes a file away. */
export type Files = Readonly<Record<string, string | undefined>>;

export class Repository {
  private readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Makes a repository whose only branch is `main`, with a first commit. */
  static async create(files: Files): Promise<Repository> {
    const repository = new Repository(await mkdtemp(join(tmpdir(), 'postern-git-')));
    await repository.git('init', '--quiet', '--initial-branch=main');
    await repository.commit(files);
    return repository;
  }

  get url(): string {
    return `file://${this.folder}`;
  }

  /** Copies a folder to a path of the repository and commits it. */
  async copy(folder: string, path: string): Promise<void> {
    await cp(folder, join(this.folder, path), { recursive: true, dereference: true });
    await this.commit({});
  }

  /** Writes files and commits them. @returns the commit */
  async commit(files: Files): Promise<string> {
    for (const [path, text] of Object.entries(files)) {
      const file = join(this.folder, path);
      await mkdir(dirname(file), { recursive: true });
      await (text === undefined ? rm(file) : writeFile(file, text));
    }
    await this.git('add', '--all');
    const who = ['-c', 'user.name=test', '-c', 'user.email=test@example.com', '-c', 'commit.gpgsign=false'];
    await this.git(...who, 'commit', '--quiet', '--message=change');
    return (await this.git('rev-parse', 'HEAD')).trim();
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  private async git(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await runCommand('git', ['-C', this.folder, ...args]);
    if (code !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
    return stdout;
  }
}
