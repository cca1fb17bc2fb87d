import type { Leg } from '../../bundle/leg.ts';
import type { Policy } from '../../policy/load.ts';
import { tlsDemandOf } from '../../policy/outbound-tls.ts';
import type { Because, TraceStep } from '../../policy/types.ts';
import { acceptedReply, type Decided, type Explanation, lineOf } from './explain.ts';
import type { MarkReport } from './hop-marks.ts';

/** The answer of `postern explain`: an interface that is kept stable (docs: the command line). */
export interface ExplainReport {
  /** With a message: the marks that its header has. */
  readonly hopMarks?: readonly MarkReport[];
  readonly recipients: readonly RecipientReport[];
}

interface RecipientReport {
  readonly address: string;
  readonly verdict: 'accept' | 'reject' | 'defer';
  /** `550 5.7.1` */
  readonly code: string;
  /** The rest of the reply: text for people, and the reference that `postern why` resolves. */
  readonly reason: string;
  readonly because: Because;
  readonly legs: readonly LegReport[];
  readonly trace: readonly TraceStep[];
}

interface LegReport {
  /** Envelope recipient at the destination. */
  readonly to: string;
  /** `maildir`, `route/<name>` or `mx`. */
  readonly via: string;
  /** How TLS is used on the way; `None` for a mailbox on this machine. */
  readonly tls: string;
  /** Selectors of the keys that sign. */
  readonly sign: readonly string[];
  readonly copy: boolean;
  /** Whether a failure is reported to the sender. */
  readonly ndr: boolean;
}

/**
 * @param policy of the MTA.
 * @param hopMarks of the message; absent: there is none.
 */
export function reportOf(
  { recipients, signing }: Explanation,
  policy: Policy,
  hopMarks?: readonly MarkReport[],
): ExplainReport {
  const sign = signing.signers.map(({ selector }) => selector);
  return {
    ...(hopMarks && { hopMarks }),
    recipients: recipients.map(({ address, verdict, trace }) => ({
      address,
      verdict: verdict.verdict,
      ...replyOf(verdict),
      because: becauseOf(verdict, trace),
      legs: verdict.verdict === 'accept' ? verdict.legs.map((leg) => legOf(leg, policy, sign)) : [],
      trace,
    })),
  };
}

function replyOf(verdict: Decided): { code: string; reason: string } {
  const { code, enhanced } = verdict.verdict === 'accept' ? acceptedReply : verdict.reply;
  const status = `${code} ${enhanced}`;
  return { code: status, reason: lineOf(verdict).slice(status.length + 1) };
}

/**
 * An accepted recipient is owed to the allow entry that covers the client, or else to the object that says where its mail goes; the
 * trace knows which field of it.
 */
function becauseOf(verdict: Decided, trace: readonly TraceStep[]): Because {
  if (verdict.because !== undefined) return verdict.because;
  const leg = verdict.verdict === 'accept' ? verdict.legs[0] : undefined;
  if (leg === undefined) return { kind: 'Postern', name: 'accept', generation: 0, entry: '' };
  const noted = trace.findLast(
    ({ because }) => because?.kind === leg.because.kind && because.name === leg.because.name,
  );
  return noted?.because ?? { ...leg.because, entry: '' };
}

function legOf(leg: Leg, policy: Policy, sign: readonly string[]): LegReport {
  const { hop, recipient, purpose, onFailure } = leg;
  return {
    to: recipient,
    via: hop.kind === 'Route' ? `route/${hop.route}` : hop.kind.toLowerCase(),
    tls: tlsOf(leg, policy),
    sign,
    copy: purpose === 'Copy',
    ndr: onFailure === 'Dsn',
  };
}

function tlsOf(leg: Leg, policy: Policy): string {
  const { hop } = leg;
  if (hop.kind === 'Maildir') return 'None';
  const mode = hop.kind === 'Route' ? policy.routes.get(hop.route)?.tls.mode : undefined;
  if (mode === 'Implicit') return mode;
  return tlsDemandOf(policy, leg) === undefined ? (mode ?? 'Opportunistic') : 'Required';
}
