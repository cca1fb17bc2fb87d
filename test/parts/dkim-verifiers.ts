// Three independent DKIM verifiers, each asked about all signatures of a message.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { ensureDebianParts } from './install.ts';

const run = promisify(execFile);

/** TXT records by name: the DNS of a verification. */
type Records = Readonly<Record<string, string>>;

/** What a verifier says of one signature: `selector=pass`, `selector=fail`. */
type Judgement = string;

/**
 * A verifier.
 * @param message as it lies in a mailbox, lines ending in CRLF.
 * @param at when it looks; absent: now. Opendkim has the clock of the machine alone.
 */
type Verifier = (message: Buffer, records: Records, at?: Date) => Promise<Judgement[]>;

/** Judgements are sorted; a message without a signature has none. Opendkim of Debian 12 knows RSA only. */
export const verifiers: Readonly<Record<'mailauth' | 'opendkim' | 'python3-dkim', Verifier>> = {
  mailauth: async (message, records, at = new Date()) => {
    const { results } = await dkimVerify(message, {
      curTime: at,
      resolver: async (name: string) => {
        const record = records[name];
        if (record !== undefined) return [[record]];
        throw Object.assign(new Error(`no ${name}`), { code: 'ENOTFOUND' });
      },
    });
    return judgements(
      results.flatMap(({ selector, status }) =>
        selector === undefined ? [] : [`${selector}=${status.result === 'pass' ? 'pass' : 'fail'}`],
      ),
    );
  },

  opendkim: async (message, records) => {
    await ensureDebianParts(['opendkim']);
    const folder = await mkdtemp(join(tmpdir(), 'postern-opendkim-'));
    try {
      const path = (name: string) => join(folder, name);
      const keys = Object.entries(records).map((entry) => `${entry.join(' ')}\n`);
      await writeFile(path('keys'), keys.join(''));
      await writeFile(path('mail'), message);
      await writeFile(path('conf'), `Mode v\nTestPublicKeys ${path('keys')}\n`);
      const { stdout, stderr } = await run('/usr/sbin/opendkim', [
        ...['-vv', '-x', path('conf')],
        ...['-t', path('mail')],
      ]);
      // `dkim=pass (2048-bit key) header.d=... header.s=...`, with folding in between.
      const found = (stdout + stderr).replace(/\s+/g, ' ').matchAll(/dkim=(\w+)[^;']*? header\.s=([^ ;']+)/g);
      return judgements(
        [...found].map(([, result, selector]) => `${selector}=${result === 'pass' ? 'pass' : 'fail'}`),
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },

  'python3-dkim': async (message, records, at = new Date()) => {
    await ensureDebianParts(['python-dkim']);
    const child = spawn('/usr/bin/python3', ['-c', pythonVerifier], { stdio: ['pipe', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stdin.end(
      JSON.stringify({ message: message.toString('base64'), records, now: at.getTime() / 1000 }),
    );
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`python3-dkim ended with ${code}`);
    return judgements(output.split('\n').filter((line) => line !== ''));
  },
};

function judgements(found: Judgement[]): Judgement[] {
  return found.sort();
}

const pythonVerifier = `
import base64, json, re, sys, time, dkim
asked = json.load(sys.stdin)
records = asked['records']
time.time = lambda: asked['now']
def dns(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    record = records.get(name.rstrip('.'))
    return None if record is None else record.encode()
verifier = dkim.DKIM(base64.b64decode(asked['message']))
signatures = [value for name, value in verifier.headers if name.lower() == b'dkim-signature']
for position, value in enumerate(signatures):
    selector = re.search(rb'[;\\s]s=([^;\\s]+)', value).group(1).decode()
    try:
        good = verifier.verify(idx=position, dnsfunc=dns)
    except dkim.DKIMException:
        good = False
    print(selector + ('=pass' if good else '=fail'))
`;
