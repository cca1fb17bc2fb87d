import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { isRunning, type RunningStandalone, runPostern, startStandalone } from './harness.ts';
import { sendMail } from './mail.ts';
import { blockList, sampleFiles } from './sample.ts';

let directory = '';
let folder = '';
let standalone: RunningStandalone;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-standalone-'));
  folder = join(directory, 'policy');
  standalone = await startStandalone({ directory, folder, files: sampleFiles });
});
afterAll(async () => {
  await standalone?.stop();
  await rm(directory, { recursive: true, force: true });
});

const blocked = (client: string) => sendMail(standalone, { client });
const save = (name: string, text: string) => writeFile(join(folder, name), text);

const statusFile = z.object({
  status: z.object({
    conditions: z.array(z.object({ type: z.string(), status: z.string(), reason: z.string() })),
  }),
});

/** The conditions of an object as its status file tells them, `Type=Status/Reason`. */
async function conditions(kind: string, name: string): Promise<readonly string[]> {
  const text = await readFile(join(standalone.state, 'status', kind, `${name}.yaml`), 'utf8');
  return statusFile
    .parse(parse(text))
    .status.conditions.map((condition) => `${condition.type}=${condition.status}/${condition.reason}`);
}

/** Waits until the status file of the block list has all of these conditions. */
async function untilConditions(...wanted: readonly string[]): Promise<void> {
  await standalone.eventually(`the status says ${wanted.join(', ')}`, async () => {
    const said = await conditions('ipaccesslist', 'blocked');
    return wanted.every((condition) => said.includes(condition)) ? true : undefined;
  });
}

/** Waits until something stands on stderr. */
async function untilSaid(text: RegExp): Promise<void> {
  await standalone.eventually(`${text} is said`, async () =>
    text.test(standalone.said()) ? true : undefined,
  );
}

/** Waits until a client gets a reply that begins so. */
async function untilReply(client: string, beginning: string): Promise<string> {
  return await standalone.eventually(`${client} gets ${beginning}`, async () => {
    const reply = await blocked(client);
    return reply.startsWith(beginning) ? reply : undefined;
  });
}

describe('postern standalone', () => {
  it('A1, B3, I9: the verdicts are those of the manifests, and accepted mail lies in the Maildir', async () => {
    expect(await blocked('127.0.0.2')).toMatch(/^250 /);
    expect(await blocked('127.0.0.20')).toMatch(/^550 5\.7\.1 .*\(ref [0-9A-Z]{8}\)$/);
    expect(await sendMail(standalone, { client: '127.0.0.2', to: 'nobody@example.com' })).toMatch(
      /^550 5\.1\.1 /,
    );
    expect(await sendMail(standalone, { client: '127.0.0.2', deliver: true })).toMatch(/^250 /);
    const box = join(standalone.state, 'mta/default/mail/example.com/alice/Maildir/new');
    const [file = ''] = await standalone.eventually('the mail is filed', async () => {
      const files = await readdir(box);
      return files.length > 0 ? files : undefined;
    });
    expect(await readFile(join(box, file), 'utf8')).toContain('Subject: hello');
  });

  it('the status of every object is a file, and says what the MTA has loaded', async () => {
    await untilConditions('Accepted=True/Accepted', 'Programmed=True/Programmed', 'Ready=True/Ready');
  });

  it('B8, G7: an edited entry acts without a restart, and the status follows', async () => {
    const before = await mtaPid();
    await save('block.yaml', blockList(['127.0.0.21']));
    expect(await untilReply('127.0.0.21', '550 5.7.1')).toContain('(ref ');
    expect(await blocked('127.0.0.20')).toMatch(/^250 /);
    await standalone.eventually('generation 2 in the status', async () => {
      const text = await readFile(join(standalone.state, 'status/ipaccesslist/blocked.yaml'), 'utf8');
      return /generation: 2\n[\s\S]*observedGeneration: 2/.test(text) ? true : undefined;
    });
    expect(await mtaPid()).toBe(before);
  });

  it('B5: an entry with an expireTime ceases to act by the clock of the MTA', async () => {
    const expires = new Date(Date.now() + 4_000).toISOString();
    await save(
      'block.yaml',
      blockList(['127.0.0.20'], `  entries:\n  - address: 127.0.0.44\n    expireTime: "${expires}"\n`),
    );
    await untilReply('127.0.0.44', '550 5.7.1');
    await untilReply('127.0.0.44', '250 ');
    expect(await blocked('127.0.0.20')).toMatch(/^550 5\.7\.1 /);
  });

  it('a file that turns bad keeps its last good version, is named with its line, and hides no neighbour', async () => {
    await save('block.yaml', blockList(['127.0.0.300']));
    await save('second.yaml', blockList(['127.0.0.22']).replace('name: blocked', 'name: second'));
    await untilReply('127.0.0.22', '550 5.7.1');
    expect(await blocked('127.0.0.20')).toMatch(/^550 5\.7\.1 /);
    await untilSaid(/block\.yaml:8:5: IpAccessList\/blocked: spec\.addresses\[0\]: .*127\.0\.0\.300/);
    await untilConditions('Accepted=False/Invalid', 'Ready=False/Invalid');
    await save('block.yaml', 'kind: [\n');
    await untilSaid(/block\.yaml:2:1: /);
    expect(await blocked('127.0.0.20')).toMatch(/^550 5\.7\.1 /);
    await save('block.yaml', blockList(['127.0.0.20']));
    await unlink(join(folder, 'second.yaml'));
    await untilReply('127.0.0.22', '250 ');
    await untilConditions('Ready=True/Ready');
    await standalone.eventually('the status of the deleted list is gone', async () => {
      const files = await readdir(join(standalone.state, 'status/ipaccesslist'));
      return files.join() === 'blocked.yaml' ? files : undefined;
    });
  });

  it('an MTA process that is killed is started again, and judges as before', async () => {
    const before = await mtaPid();
    process.kill(before, 'SIGKILL');
    await standalone.eventually('another process serves', async () =>
      (await mtaPid()) === before ? undefined : true,
    );
    await untilReply('127.0.0.20', '550 5.7.1');
  });

  it('a changed setting of the MTA starts it anew, drained first', async () => {
    const before = await mtaPid();
    await save('mta.yaml', 'heloName: mail.example.com\n');
    await standalone.eventually('the new process serves', async () =>
      (await mtaPid()) === before ? undefined : true,
    );
    await untilReply('127.0.0.20', '550 5.7.1');
    expect(standalone.said()).not.toContain('SIGKILL; it starts again in 400 ms');
  });

  it('keys, token and mail of the state folder belong to its user alone', async () => {
    for (const path of ['mta/default/token', 'mta/default/tls/tls.key', 'secrets/.revision-key']) {
      expect((await stat(join(standalone.state, path))).mode & 0o077, path).toBe(0);
    }
    expect((await stat(join(standalone.state, 'mta/default/policy'))).mode & 0o077).toBe(0);
  });

  it('a second process on the same state folder is refused', async () => {
    const second = runPostern([
      'standalone',
      '-f',
      folder,
      '--state',
      standalone.state,
      '--smtp',
      '127.0.0.1:0',
      '--http',
      '127.0.0.1:0',
    ]);
    let error = '';
    second.stderr?.on('data', (chunk) => {
      error += chunk;
    });
    const [code] = await once(second, 'exit');
    expect(code).toBe(1);
    expect(error).toContain('is in use by process');
  });

  it('killed, it takes its MTA along; the next start takes the state over, generations and all', async () => {
    const orphan = await mtaPid();
    standalone.process.kill('SIGKILL');
    standalone = await startStandalone({ directory, folder, files: {} });
    expect(await mtaPid()).not.toBe(orphan);
    expect(await isRunning(orphan)).toBe(false);
    const refused = await untilReply('127.0.0.20', '550 5.7.1');
    expect(await readFile(join(standalone.state, 'status/ipaccesslist/blocked.yaml'), 'utf8')).not.toMatch(
      /generation: 1\n/,
    );
    expect(refused).toContain('(ref ');
  });

  it('SIGTERM drains, ends with 0, and leaves no process and no lock behind', async () => {
    const child = await mtaPid();
    expect(await standalone.stop()).toBe(0);
    expect(await isRunning(child)).toBe(false);
    expect(await readdir(standalone.state)).not.toContain('lock');
  });
});

async function mtaPid(): Promise<number> {
  const [pid = ''] = (await readFile(join(standalone.state, 'mta/default/child'), 'utf8')).split(' ');
  return Number(pid);
}
