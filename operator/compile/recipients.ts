import type { DomainPolicy } from '../../bundle/domain-policy.ts';
import { compareText } from '../../bundle/shards.ts';
import type { MailDomain } from '../api/index.ts';
import { type ConditionInput, condition } from './conditions.ts';
import type { Hosted } from './domains.ts';
import { shown } from './list-text.ts';
import { type References, type RefProblem, readConfigMapKey } from './references.ts';

/** Which recipients of a domain exist, and what there is to say about it. */
export interface Recipients {
  readonly policy: DomainPolicy['recipients'];
  readonly problems: readonly RefProblem[];
  /** RecipientsReady, and BackscatterRisk if there is one. */
  readonly conditions: readonly ConditionInput[];
}

/** RFC 5322 dot-atom, as the API takes it: lines of a ConfigMap follow the same rule as `recipients.addresses`. */
const localPart = /^[A-Za-z0-9#$&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9#$&'*+/=?^_`{|}~-]+)*$/;

/** Compiles `spec.recipients` (I9). */
export function compileRecipients(hosted: Hosted, references: References): Recipients {
  const { mailbox, recipients } = hosted.object.spec;
  const mode = recipients.mode ?? 'Probe';
  const base = { subaddressDelimiter: recipients.subaddressDelimiter, available: !hosted.mailboxUnusable };
  if (mode === 'List') return fromList(hosted, base, references);
  if (mode === 'Any') {
    return {
      policy: { mode, localParts: [], ...base },
      problems: [],
      conditions: [
        condition('RecipientsReady', 'True', 'CatchAll', 'recipients.mode is Any: every address is taken'),
        condition(
          'BackscatterRisk',
          'True',
          'BackscatterRisk',
          'recipients.mode is Any: unknown recipients are accepted',
        ),
      ],
    };
  }
  const probeRoute = mailbox.routeRef?.name;
  return {
    policy: { mode, localParts: [], ...base, ...(probeRoute === undefined ? {} : { probeRoute }) },
    problems: [],
    conditions: [probing(probeRoute, references)],
  };
}

/** Local parts in text: one address or local part per line, `#` begins a note. */
function readRecipients(text: string, domain: string): { localParts: string[]; invalid: string[] } {
  const localParts: string[] = [];
  const invalid: string[] = [];
  for (const [index, line] of text.split(/\r\n|\r|\n/).entries()) {
    // "#" may begin a local part; a note is a line of its own, or set off by a blank.
    const written = line.replace(/(^|\s)#.*$/, '').trim();
    if (written === '') continue;
    const at = written.lastIndexOf('@');
    const local = at < 0 ? written : written.slice(0, at);
    const foreign = at >= 0 && written.slice(at + 1).toLowerCase() !== domain;
    if (!foreign && local.length <= 64 && localPart.test(local)) localParts.push(local.toLowerCase());
    else
      invalid.push(
        `line ${index + 1}: ${shown(written)} is no ${foreign ? `address of ${domain}` : 'local part'}`,
      );
  }
  return { localParts, invalid };
}

interface Remembered {
  readonly text: string;
  readonly policy: { readonly localParts: string[]; readonly invalid: readonly string[] };
}

const remembered = new WeakMap<MailDomain['spec'], Remembered>();

function fromList(
  { object, domain }: Hosted,
  base: { readonly subaddressDelimiter: string; readonly available: boolean },
  references: References,
): Recipients {
  const { addresses, configMapRef } = object.spec.recipients;
  const field = 'spec.recipients.configMapRef';
  const source = configMapRef === undefined ? undefined : readConfigMapKey(configMapRef, field, references);
  const text = source?.ok === true ? source.value : '';
  const known = remembered.get(object.spec);
  const read = known !== undefined && known.text === text ? known.policy : collect(addresses, text, domain);
  remembered.set(object.spec, { text, policy: read });
  if (source?.ok === false) {
    // Nobody can be called unknown while half of the list is missing.
    return {
      policy: { mode: 'List', localParts: read.localParts, ...base, available: false },
      problems: [source.problem],
      conditions: [condition('RecipientsReady', 'False', 'SourceUnavailable', source.problem.message)],
    };
  }
  return {
    policy: { mode: 'List', localParts: read.localParts, ...base },
    problems: read.invalid.length === 0 ? [] : [invalidLines(field, read.invalid)],
    conditions: [condition('RecipientsReady', 'True', 'RecipientsReady')],
  };
}

function collect(addresses: readonly string[], text: string, domain: string): Remembered['policy'] {
  const inline = addresses.map((address) => address.replace(/@.*$/, '').toLowerCase());
  const { localParts, invalid } = readRecipients(text, domain);
  return { localParts: [...new Set([...inline, ...localParts])].sort(compareText), invalid };
}

function invalidLines(field: string, invalid: readonly string[]): RefProblem {
  const first = invalid.slice(0, 3).join('; ');
  const rest = invalid.length > 3 ? ` and ${invalid.length - 3} more` : '';
  return { reason: 'InvalidSourceData', message: `${field}: ${first}${rest}; the other lines act` };
}

/** Whether the server answers is seen by the MTA; here it is seen whether there is one to ask. */
function probing(probeRoute: string | undefined, references: References): ConditionInput {
  const missing = probeRoute === undefined || !references.routes.has(probeRoute);
  if (!missing)
    return condition('RecipientsReady', 'True', 'RecipientsReady', `Route ${probeRoute} is asked`);
  return condition(
    'RecipientsReady',
    'False',
    'SourceUnavailable',
    `Route ${probeRoute} (spec.mailbox.routeRef) does not exist`,
  );
}
