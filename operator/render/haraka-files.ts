import * as z from 'zod';
import type { MtaSettings } from '../api/mta-settings.ts';

/** Whose MTA it is. */
export interface MtaName {
  readonly namespace: string;
  readonly mta: string;
}

/** What the MTA itself reads. */
const mtaFile = 'mta.json';

/** Haraka takes no shorter interval between two attempts. */
const minRetrySeconds = 5;

/**
 * The cold configuration of an MTA: the files that its processes are started with. Fixed text, in which only numbers and
 * names of a narrow alphabet vary; all other settings travel as JSON. Haraka merges none of its own defaults into a
 * configuration directory, so each file is complete (HT13).
 * @returns text by file name, in order of names.
 * @throws Error naming the setting whose value could not stand in an ini file.
 */
export function renderHarakaFiles(
  settings: MtaSettings,
  where: MtaName & { readonly clusterRanges?: readonly string[] },
): ReadonlyMap<string, string> {
  const heloName = harmlessName('heloName', settings.heloName);
  return new Map(
    Object.entries({
      'connection.ini': connectionIni,
      'log.ini': logIni,
      me: `${heloName}\n`,
      [mtaFile]: mtaJson(settings, where),
      'outbound.ini': outboundIni(settings),
      plugin_timeout: '120\n',
      'tls.ini': tlsIni,
    }),
  );
}

const told = z.object({ clusterRanges: z.array(z.string()) });

/**
 * The addresses of the cluster that files were rendered with (G14), for whoever has only the files.
 * @param files text by file name, as they were rendered.
 * @returns undefined if the files do not tell.
 */
export function clusterRangesIn(files: Readonly<Record<string, string>>): readonly string[] | undefined {
  try {
    return told.parse(JSON.parse(files[mtaFile] ?? '')).clusterRanges;
  } catch {
    return undefined;
  }
}

/**
 * max.bytes=0: the MTA counts itself, since Haraka answers 550 where 552 is due. SMTPUTF8 is not offered, an incoming
 * Authentication-Results is not renamed, the Received line is the MTA's own. Lines of a message are never wrapped: that
 * would break the signatures on them. Nobody is believed a PROXY line by this file; the MTA decides by mta.json.
 */
const connectionIni = `[main]
strict_rfc1869=false
postel=false
smtputf8=false

[max]
bytes=0
line_length=2048
data_line_length=65536
mime_parts=1000

[headers]
add_received=false
show_version=false
clean_auth_results=false
max_lines=1000
max_received=100

[message]
helo=at your service
close=closing connection

[uuid]
banner_chars=0
deny_chars=0

[haproxy]
enabled=true
`;

/** The MTA writes its own log; of Haraka only what goes wrong. JSON keeps whatever a client sends in one line. */
const logIni = `[main]
level=warn
timestamps=false
format=json
`;

/**
 * No client certificate is asked for; the floor is RFC 9325's: TLS 1.2 and forward secrecy. CBC stays for old senders, which would
 * send in clear otherwise. dhparam names a file that the MTA brings (HT15).
 */
const tlsIni = `[main]
key=tls_key.pem
cert=tls_cert.pem
dhparam=ffdhe2048.pem
minVersion=TLSv1.2
ciphers=ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:!aNULL:!eNULL
requestCert=false
rejectUnauthorized=false
honorCipherOrder=true
mutual_tls=false

[outbound]
minVersion=TLSv1.2
rejectUnauthorized=false

[redis]
disable_for_failed_hosts=false
`;

/** An MX that leads back to this machine is refused; a Route may, since the operator has decided where Routes may lead (R7). */
function outboundIni(settings: MtaSettings): string {
  return `[main]
always_split=true
enable_tls=true
local_mx_ok=false
concurrency_max=100
connect_timeout=30
received_header=disabled
inet_prefer=default
temp_fail_intervals=${retrySchedule(settings)
    .map((seconds) => `${seconds}s`)
    .join(',')}
`;
}

/** The intervals, the last one repeated until the lifetime is used up (R6). */
function retrySchedule({ retryIntervalsSeconds, queueLifetimeSeconds }: MtaSettings): number[] {
  const schedule: number[] = [];
  let age = 0;
  for (let attempt = 0; age < queueLifetimeSeconds; attempt += 1) {
    const wanted = retryIntervalsSeconds[attempt] ?? retryIntervalsSeconds.at(-1) ?? minRetrySeconds;
    const seconds = Math.max(minRetrySeconds, wanted);
    schedule.push(whole('retryIntervalsSeconds', seconds));
    age += seconds;
  }
  return schedule;
}

function mtaJson(
  settings: MtaSettings,
  { namespace, mta, clusterRanges }: MtaName & { readonly clusterRanges?: readonly string[] },
): string {
  const { heloName, maxMessageBytes, proxyProtocolFrom, perDestinationConcurrency } = settings;
  const { resolvers, internalMxRanges, trustedRanges } = settings;
  const content = {
    namespace,
    mta,
    heloName,
    postmaster: settings.postmaster ?? `postmaster@${heloName}`,
    maxMessageBytes,
    proxyProtocolFrom,
    perDestinationConcurrency,
    resolvers,
    internalMxRanges,
    ...(clusterRanges === undefined ? {} : { clusterRanges, trustedRanges }),
  };
  return `${JSON.stringify(content, undefined, 2)}\n`;
}

/** Letters, digits, dots and hyphens: nothing that an ini file gives a meaning to. The schema has looked already; this looks again. */
function harmlessName(setting: string, value: string): string {
  if (/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/.test(value)) return value;
  throw new Error(`${setting}: ${JSON.stringify(value)} is no host name`);
}

function whole(setting: string, value: number): number {
  if (Number.isSafeInteger(value)) return value;
  throw new Error(`${setting}: ${value} is no whole number`);
}
