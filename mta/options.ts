import { Command, InvalidArgumentError } from 'commander';
import { parseAddress } from '../policy/ip/address.ts';
import { parseRange } from '../policy/ip/range.ts';
import type { PeerName } from './outbound/hand-over.ts';

/** An address to listen on. */
export interface ListenAddress {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** What one MTA process is started with. */
export interface MtaOptions {
  /** Hot files, in the layout of kubelet's atomic writer. */
  readonly policy: string;
  /** Cold files: Haraka's configuration and mta.json. */
  readonly config: string;
  /** Scratch that the process fills: Haraka's home. */
  readonly home: string;
  readonly queue: string;
  /** On the same volume as the queue. */
  readonly journal: string;
  readonly maildir: string;
  /** File on the volume of the queue; absent: the counts of the ledger are those of the process alone. */
  readonly ledger?: string;
  /** File on the volume of the queue; absent: a restart forgets why mail waits. */
  readonly lastAnswers?: string;
  /** Directory with tls.crt and tls.key, followed while the process runs; without a usable pair STARTTLS is not offered. */
  readonly tls?: string;
  readonly smtp: ListenAddress;
  readonly submission?: ListenAddress;
  /** Submission with TLS from the first byte. */
  readonly submissions?: ListenAddress;
  readonly http: ListenAddress;
  /** File with the bearer token of /state and /blocks. */
  readonly tokenFile?: string;
  /** Name servers as `address:port`, instead of those that the settings name. */
  readonly resolver: readonly string[];
  /** More proxies than the settings name. */
  readonly proxyFrom: readonly string[];
  /** Seconds that running messages and deliveries have after SIGTERM. */
  readonly graceSeconds: number;
  /** Where the other processes of this MTA are: at its end this one gives them the mail that waits. */
  readonly handOverTo: readonly PeerName[];
  /** File that is told at the end how many mails stay in the queue. */
  readonly terminationLog?: string;
  readonly logLevel: string;
}

/** The command line of `postern mta`. `run` is called with the options; errors of use end the process with code 2. */
export function mtaCommand(run: (options: MtaOptions) => Promise<void>): Command {
  return new Command('mta')
    .description('Run one MTA: accept mail, judge it by the policy on disk, file and deliver it.')
    .requiredOption('--policy <dir>', 'policy bundle, in the layout of a mounted volume')
    .requiredOption('--config <dir>', 'cold configuration, as the operator renders it')
    .requiredOption('--home <dir>', 'scratch directory; config and plugins in it are made anew at each start')
    .requiredOption('--queue <dir>', 'mail that is waiting to be delivered; belongs to one process only')
    .requiredOption(
      '--journal <dir>',
      'mail until its first attempt is over; on the same volume as the queue',
    )
    .requiredOption('--maildir <dir>', 'root of the mailboxes of domains that keep theirs here')
    .option('--ledger <file>', 'keeps by domain the counts of what nobody was told of; beside the queue')
    .option('--last-answers <file>', 'keeps over a restart why mail waits; beside the queue')
    .option('--tls <dir>', 'directory with tls.crt and tls.key')
    .requiredOption('--smtp <address:port>', 'mail from other servers', listenAddress)
    .option('--submission <address:port>', 'mail from accounts, with STARTTLS', listenAddress)
    .option('--submissions <address:port>', 'mail from accounts, TLS from the first byte', listenAddress)
    .requiredOption('--http <address:port>', '/state, /metrics, /healthz, /readyz, /blocks', listenAddress)
    .option('--token-file <file>', 'bearer token asked for by /state and /blocks')
    .option('--proxy-from <cidr,...>', 'proxies that may send PROXY protocol', ranges, [])
    .option('--resolver <address:port,...>', 'name servers instead of those of the settings', servers, [])
    .option('--grace-seconds <seconds>', 'time for running messages after SIGTERM', seconds, 25)
    .option(
      '--hand-over-to <name:port,...>',
      'other pods of this MTA: given what waits here at the end',
      peers,
      [],
    )
    .option('--termination-log <file>', 'told at the end how many mails stay in the queue')
    .option('--log-level <level>', 'fatal, error, warn, info or debug', 'info')
    .action((options: MtaOptions) => run(options));
}

/** @throws InvalidArgumentError */
export function listenAddress(text: string): ListenAddress {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || parseAddress(host) === undefined || Number(port) > 65_535) {
    throw new InvalidArgumentError('must be address:port, such as 127.0.0.1:2525 or [::1]:2525');
  }
  return { host, port: Number(port) };
}

/** `127.0.0.1:2525`, `[::1]:2525` */
export function formatListenAddress({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function peers(text: string): PeerName[] {
  return text.split(',').map((peer) => {
    const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})$/.exec(peer) ?? [];
    const host = bracketed ?? plain;
    if (host === undefined || Number(port) > 65_535)
      throw new InvalidArgumentError('must be name:port, such as mail-pods.tenant.svc:8025');
    return { host, port: Number(port) };
  });
}

function servers(text: string): string[] {
  return text.split(',').map((address) => formatListenAddress(listenAddress(address)));
}

function ranges(text: string): string[] {
  const entries = text.split(',').filter((entry) => entry !== '');
  const wrong = entries.find((entry) => parseRange(entry) === undefined);
  if (wrong !== undefined)
    throw new InvalidArgumentError(`${JSON.stringify(wrong)} is no address and no CIDR`);
  return entries;
}

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 3600)
    throw new InvalidArgumentError('must be 0 to 3600');
  return value;
}
