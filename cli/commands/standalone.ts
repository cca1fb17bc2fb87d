import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { compile } from '../../operator/compile/compile.ts';
import { defaultDnsOptions } from '../../operator/observe/resolver.ts';
import { Standalone, type StandaloneEvents } from '../../operator/platform/standalone/standalone.ts';
import { render } from '../../operator/render/render.ts';
import { parseRange } from '../../policy/ip/range.ts';
import { Misuse } from '../failure.ts';
import { listen } from '../listen.ts';
import { type Format, outputOption } from '../output.ts';
import type { Shell } from '../shell.ts';
import { defaultState, machineName } from '../snapshot.ts';
import { standaloneScreen } from '../standalone-screen.ts';

interface StandaloneFlags {
  readonly folder: string;
  readonly namespace?: string;
  readonly state: string;
  readonly smtp: string;
  readonly submission: string;
  readonly submissions: string;
  readonly http: string;
  readonly tls?: string;
  readonly resolver?: string;
  readonly proxyFrom: readonly string[];
  readonly output: Format;
}

const examples = `
Examples:
  postern standalone -f policy
  postern standalone -f policy --smtp 0.0.0.0:25 --state /var/lib/postern --tls /etc/postern/tls
  postern standalone -f policy --smtp 127.0.0.1:0 --http 127.0.0.1:0 -o json

Prints "ready smtp=... http=..." once the MTA serves what the folder says. Edited files act within a second. A file that
cannot be used is named with line and column, and its last good version goes on acting. SIGTERM and Ctrl-C drain.
With -o json every event is one line of JSON.`;

/** `postern standalone`: the whole product on one machine, from a folder of manifests. */
export function standaloneCommand(shell: Shell): Command {
  return new Command('standalone')
    .description('Serve a folder of manifests on this machine: no cluster, no Docker, no network needed.')
    .requiredOption('-f, --folder <dir>', 'folder with the manifests; it is watched')
    .option(
      '-n, --namespace <name>',
      'namespace to read in the folder (default: the one that its documents name)',
    )
    .option('--state <dir>', 'folder for keys, queue, mail and status', `./${defaultState}`)
    .option(
      '--smtp <address:port>',
      'mail from other servers; port 0: any free one',
      listen,
      '127.0.0.1:2525',
    )
    .option(
      '--submission <address:port>',
      'mail from accounts, STARTTLS; `off`: none',
      listenOrOff,
      '127.0.0.1:2587',
    )
    .option(
      '--submissions <address:port>',
      'mail from accounts, TLS from the first byte; `off`: none',
      listenOrOff,
      '127.0.0.1:2465',
    )
    .option('--http <address:port>', '/state, /metrics, /healthz, /readyz', listen, '127.0.0.1:8025')
    .option('--tls <dir>', 'folder with tls.crt and tls.key (default: a self-signed certificate)')
    .option('--resolver <address:port>', 'name server to ask (default: those of the machine)', listen)
    .option('--proxy-from <cidr,...>', 'load balancers whose PROXY line is believed', ranges, [])
    .addOption(outputOption())
    .addHelpText('after', examples)
    .action((flags: StandaloneFlags) => standalone(shell, flags));
}

async function standalone(shell: Shell, flags: StandaloneFlags): Promise<void> {
  const stop = shell.stopSignal();
  const events: StandaloneEvents = standaloneScreen(shell, flags.output);
  const { folder, namespace, state, smtp, submission, submissions, http, tls, resolver, proxyFrom } = flags;
  const listening = { smtp, submission, submissions, http };
  const process = new Standalone({
    folder,
    state,
    ...(namespace === undefined ? {} : { namespace }),
    ...(tls === undefined ? {} : { tls }),
    listen: Object.fromEntries(Object.entries(listening).filter(([, address]) => address !== off)),
    dns: { ...defaultDnsOptions, resolvers: resolver === undefined ? [] : [resolver] },
    proxyFrom,
    mtaProgram: mtaProgram(),
    hostName: machineName(),
    compile,
    render,
    now: shell.now,
    events,
  });
  await process.start().catch((error: unknown) => {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    throw missing ? new Misuse(`-f ${folder}: the folder cannot be read: ${error.message}`) : error;
  });
  if (!stop.aborted) await once(stop, 'abort');
  await process.stop();
}

/** The MTA's main module, as source or as compiled. */
function mtaProgram(): string {
  const extension = import.meta.url.endsWith('.js') ? '.js' : '.ts';
  return fileURLToPath(new URL(`../../mta/main${extension}`, import.meta.url));
}

const off = 'off';

function listenOrOff(text: string): string {
  return text === off ? off : listen(text);
}

function ranges(text: string): readonly string[] {
  const entries = text.split(',').filter((entry) => entry !== '');
  const wrong = entries.find((entry) => parseRange(entry) === undefined);
  if (wrong !== undefined)
    throw new InvalidArgumentError(`${JSON.stringify(wrong)} is no IP address and no CIDR`);
  return entries;
}
