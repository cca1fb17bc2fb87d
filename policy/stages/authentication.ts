import { formatResults, trustedResults } from '../authentication-results.ts';
import { fields } from '../field.ts';
import { formatAddress } from '../ip/address.ts';
import { canonicalDomain, type Mailbox, type Path } from '../mailbox.ts';
import type { Domain } from '../policy.ts';
import type { ReplyCase } from '../reply.ts';
import type { DataScope, Finding, Notes, Stage } from '../stage.ts';
import { byObject } from '../stage.ts';
import type { Authentication, Because, DataFacts } from '../types.ts';

const name = 'authentication';

/** What the results mean for the message. */
type Judgement = 'pass' | 'junk' | Extract<ReplyCase, 'spfFailed' | 'dmarcFailed' | 'dnsUnavailable'>;

/** SPF, DKIM, DMARC and ARC of the sender, as the recipient domain wants them to count. */
export const authentication: Stage<DataFacts, DataScope> = {
  name,
  ids: ['G19', 'D15', 'D16', 'A6', 'G9'],
  about:
    'SPF, DKIM, DMARC and ARC are written into the message; a fail refuses it or sends it to Junk as the domain says. Of an allowed client they are written only; via a gateway without trusted results they send to Junk at most.',
  judge(facts, scope, notes): Finding | undefined {
    const [domain] = scope.domains;
    if (facts.account !== undefined) {
      return { outcome: 'note', detail: 'authenticated', notes: { proven: true } };
    }
    if (notes.returned) {
      return { outcome: 'note', detail: 'Internal, back from the gateway', notes: { proven: true } };
    }
    if (domain === undefined) return undefined;
    const { spf, dkim, dmarc } = domain.policy.authentication;
    const shown = { spf: spf !== 'Disabled', dkim: dkim !== 'Disabled', dmarc: dmarc !== 'Disabled' };
    if (!shown.spf && !shown.dkim && !shown.dmarc) {
      return { outcome: 'note', detail: 'disabled', notes: { proven: false } };
    }
    const trusted = notes.viaGateway ? resultsOfGateway(domain, facts) : undefined;
    const found = trusted ?? facts.authentication;
    if (found === undefined)
      return { outcome: 'need', lookup: { kind: 'authentication', ...clientOf(facts, notes) } };
    if (found === 'notAsked') {
      const detail = 'only a live message shows it: taken to have nothing against it';
      return { outcome: 'note', detail, notes: { proven: true } };
    }
    const headers = [['Authentication-Results', formatResults(facts.heloName, found, shown)]] as const;
    const stamps = { headers, proven: isProven(found, scope.sender) };
    const because =
      trusted === undefined
        ? byObject(domain.policy.source, fields.authentication)
        : byObject(domain.gateway?.policy.source ?? domain.policy.source, fields.trustedAuthservId);
    const detail = `${describe(found)}${trusted === undefined ? '' : ', says the gateway'}`;
    const wanted = judgeResults(found, domain);
    if (wanted === 'pass') return { outcome: 'note', detail, because, notes: stamps };
    if (notes.allowed !== undefined) {
      return { outcome: 'note', detail: `${detail}; the client is allowed`, because, notes: stamps };
    }
    const atMostJunk = notes.viaGateway === true && trusted === undefined;
    if (wanted === 'dnsUnavailable' && atMostJunk) return { outcome: 'note', detail, because, notes: stamps };
    if (wanted !== 'junk' && !atMostJunk) return { outcome: 'reject', reply: wanted, because, detail };
    const junk = addJunk(notes, scope.domains, because);
    return { outcome: 'note', detail: `${detail}: to Junk`, because, notes: { ...stamps, junk } };
  },
};

/**
 * The first that applies. A fail that might have been a pass, had a name server answered, refuses nobody for good and sends
 * nothing to Junk.
 */
function judgeResults({ spf, dkim, dmarc, arc }: Authentication, { policy }: Domain): Judgement {
  const modes = policy.authentication;
  if (modes.spf === 'Reject') {
    if (spf.result === 'fail') return 'spfFailed';
    if (spf.result === 'temperror') return 'dnsUnavailable';
  }
  if (modes.dmarc !== 'Quarantine' && modes.dmarc !== 'Reject') return 'pass';
  const unsure = [spf, ...dkim].some(({ result }) => result === 'temperror');
  if (dmarc.result === 'temperror' || (dmarc.result === 'fail' && unsure && dmarc.policy === 'reject')) {
    return modes.dmarc === 'Reject' ? 'dnsUnavailable' : 'pass';
  }
  // Whoever publishes p=none asks that nothing be done (RFC 9989).
  if (dmarc.result !== 'fail' || unsure || dmarc.policy === undefined || dmarc.policy === 'none')
    return 'pass';
  if (isOutweighed(arc, modes.trustedArcSealers)) return 'pass';
  return modes.dmarc === 'Reject' && dmarc.policy === 'reject' ? 'dmarcFailed' : 'junk';
}

/** D16. The newest seal must be the trusted one: whoever sealed after it could have changed the message. */
function isOutweighed(arc: Authentication['arc'], trusted: readonly string[]): boolean {
  if (arc.result !== 'pass' || arc.sealer === undefined || arc.recordedDmarc !== 'pass') return false;
  const sealer = canonicalDomain(arc.sealer);
  return trusted.some((one) => canonicalDomain(one) === sealer);
}

/** G9: who would get a report is who wrote the mail. A signature counts if it is of the domain of MAIL FROM or of one above it. */
function isProven({ spf, dkim }: Authentication, sender: Path): boolean {
  if (sender.kind !== 'mailbox') return false;
  if (spf.result === 'pass' && spf.identity?.property !== 'helo') return true;
  return dkim.some(
    ({ result, domain }) => result === 'pass' && isAtOrBelow(sender.mailbox, canonicalDomain(domain)),
  );
}

function isAtOrBelow({ domain }: Mailbox, parent: string): boolean {
  return parent.includes('.') && (domain === parent || domain.endsWith(`.${parent}`));
}

function resultsOfGateway({ gateway }: Domain, { headers }: DataFacts): Authentication | undefined {
  const id = gateway?.policy.trustedAuthservId;
  return id === undefined ? undefined : trustedResults(headers, id);
}

/** Whose mail it is: the peer, or whoever handed it to the gateway, if that is known. */
export function clientOf(
  { peer }: DataFacts,
  { viaGateway, originalClient }: Notes,
): { readonly client?: string } {
  if (!viaGateway) return { client: peer };
  return originalClient?.role === 'originalClient' ? { client: formatAddress(originalClient.address) } : {};
}

/** Spam for every recipient; what an earlier stage has found against one stays. */
export function addJunk(
  { junk }: Notes,
  domains: readonly Domain[],
  because: Because,
): ReadonlyMap<string, Because> {
  return new Map([...domains.map(({ policy }) => [policy.domain, because] as const), ...(junk ?? [])]);
}

function describe({ spf, dkim, dmarc, arc }: Authentication): string {
  const signatures =
    dkim.length === 0
      ? 'none'
      : dkim
          .slice(0, 3)
          .map(({ result }) => result)
          .join('+');
  const policy = dmarc.policy === undefined ? '' : ` (p=${dmarc.policy})`;
  const seal = arc.result === 'none' ? '' : `, arc=${arc.result}`;
  return `spf=${spf.result}, dkim=${signatures}, dmarc=${dmarc.result}${policy}${seal}`;
}
