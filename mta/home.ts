import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { canonicalJson } from '../bundle/canonical.ts';
import { ffdhe2048 } from './ffdhe2048.ts';
import { formatListenAddress, type MtaOptions } from './options.ts';
import { type MtaFile, parseMtaFile, settingsFile } from './settings.ts';

const pluginName = 'postern';

/** Files of Haraka's that the operator renders. Any other name in the directory is refused: Haraka would read it. */
const harakaFiles = ['connection.ini', 'log.ini', 'me', 'outbound.ini', 'plugin_timeout', 'tls.ini'] as const;

/** The filled home. */
export interface Home {
  readonly settings: MtaFile;
  /** SHA-256 of the cold files as they were read. */
  readonly coldHash: string;
}

/**
 * Fills Haraka's home: the cold files as they are, and what only this process knows (where to listen, which plugins, a key
 * for INTERNALCMD that nobody learns, HT2).
 * @param certificate with which Haraka starts; another one can take its place later.
 * @throws Error naming the file and what is wrong with it.
 */
export async function fillHome(
  options: MtaOptions,
  certificate: { cert: Buffer; key: Buffer } | undefined,
): Promise<Home> {
  const cold = await readColdFiles(options.config);
  const settings = parseMtaFile(cold.get(settingsFile) ?? '');
  // Not the directory itself: it may be a mounted volume, and whatever else lies in it is not ours.
  for (const part of ['config', 'plugins'])
    await rm(join(options.home, part), { recursive: true, force: true });
  const config = join(options.home, 'config');
  await mkdir(config, { recursive: true, mode: 0o700 });
  if (certificate !== undefined) {
    await writeFile(join(config, 'tls_cert.pem'), certificate.cert, { mode: 0o600 });
    await writeFile(join(config, 'tls_key.pem'), certificate.key, { mode: 0o600 });
  }
  for (const name of harakaFiles) {
    const text = cold.get(name) ?? '';
    await writeFile(
      join(config, name),
      name === 'tls.ini' && certificate === undefined ? withoutCertificate(text) : text,
      {
        mode: 0o600,
      },
    );
  }
  if (options.submissions !== undefined && certificate === undefined)
    throw new Error('--submissions needs --tls with a usable tls.crt and tls.key');
  const own: Record<string, string> = {
    // Without a certificate yet, `tls` offers nothing until there is one.
    plugins: options.tls !== undefined ? `tls\n${pluginName}\n` : `${pluginName}\n`,
    'smtp.ini': smtpIni(options),
    internalcmd_key: randomBytes(32).toString('hex'),
    'ffdhe2048.pem': ffdhe2048,
    // Says nothing; but Haraka looks for it again for each result of each session until it is there.
    'results.ini': '[main]\n',
    queue_dir: resolve(options.queue),
    // The guard has deadlines of its own (guard.ts); Haraka's would be a timer for each hook, also for those that answer at once.
    [`${pluginName}.timeout`]: '0\n',
  };
  for (const [name, text] of Object.entries(own)) await writeFile(join(config, name), text, { mode: 0o600 });
  await writePlugin(options.home);
  return { settings, coldHash: hashOf(cold) };
}

async function readColdFiles(directory: string): Promise<Map<string, string>> {
  // A mounted volume has `..data` and dated directories beside the names.
  const names = (await readdir(directory)).filter((name) => !name.startsWith('..')).sort();
  const known = new Set<string>([...harakaFiles, settingsFile]);
  const stranger = names.find((name) => !known.has(name));
  if (stranger !== undefined)
    throw new Error(`${join(directory, stranger)}: is no file of the cold configuration`);
  const missing = [...known].find((name) => !names.includes(name));
  if (missing !== undefined)
    throw new Error(`${join(directory, missing)}: is missing; Haraka has no usable defaults (HT13)`);
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, await readFile(join(directory, name), 'utf8')] as const),
    ),
  );
}

/** Hash of the cold files: what `/state` reports and what the operator compares with its own rendering. */
function hashOf(files: ReadonlyMap<string, string>): string {
  return createHash('sha256')
    .update(canonicalJson(Object.fromEntries(files)))
    .digest('hex');
}

/** Haraka reports files that it is told of and that are not there as errors. */
function withoutCertificate(tlsIni: string): string {
  return tlsIni.replace(/^(key|cert)=.*$/gm, '$1=');
}

/** One process (HT14), all listeners, values that this process has parsed itself. */
function smtpIni({ smtp, submission, submissions }: MtaOptions): string {
  const listeners = [smtp, submission, submissions].filter((address) => address !== undefined);
  return [
    `listen=${listeners.map(formatListenAddress).join(',')}`,
    'nodes=0',
    'graceful_shutdown=true',
    'inactivity_timeout=300',
    // Haraka speaks TLS at once where the port equals this one; 1 is none of ours.
    `smtps_port=${submissions?.port ?? 1}`,
    '',
  ].join('\n');
}

/** A plugin is a package in the home; ours leads to the module beside this one, source or compiled. */
async function writePlugin(home: string): Promise<void> {
  const directory = join(home, 'plugins', pluginName);
  await mkdir(directory, { recursive: true });
  const extension = import.meta.url.endsWith('.js') ? '.js' : '.ts';
  const module = fileURLToPath(new URL(`./plugin${extension}`, import.meta.url));
  await writeFile(
    join(directory, 'package.json'),
    JSON.stringify({ name: pluginName, version: '0.0.0', main: 'index.cjs' }),
  );
  await writeFile(join(directory, 'index.cjs'), `module.exports = require(${JSON.stringify(module)});\n`);
}
