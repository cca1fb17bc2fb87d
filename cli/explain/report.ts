import type { Leg } from '../../bundle/leg.ts';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import type { Because, TraceStep } from '../../policy/types.ts';
import { acceptedReply, type Decided, type Explanation, lineOf } from './explain.ts';

/** The answer of `postern explain`: an interface that is kept stable (docs: the command line). */
export interface ExplainReport {
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

/** @param routes of the MTA, by name. */
export function reportOf(explanation: Explanation, routes: ReadonlyMap<string, RoutePolicy>): ExplainReport {
  return {
    recipients: explanation.recipients.map(({ address, verdict, trace }) => ({
      address,
      verdict: verdict.verdict,
      ...replyOf(verdict),
      because: becauseOf(verdict, trace),
      legs: verdict.verdict === 'accept' ? verdict.legs.map((leg) => legOf(leg, routes)) : [],
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

function legOf(leg: Leg, routes: ReadonlyMap<string, RoutePolicy>): LegReport {
  const { hop, recipient, purpose, onFailure } = leg;
  return {
    to: recipient,
    via: hop.kind === 'Route' ? `route/${hop.route}` : hop.kind.toLowerCase(),
    tls: tlsOf(leg, routes),
    sign: [],
    copy: purpose === 'Copy',
    ndr: onFailure === 'Dsn',
  };
}

function tlsOf({ hop }: Leg, routes: ReadonlyMap<string, RoutePolicy>): string {
  if (hop.kind === 'Maildir') return 'None';
  return hop.kind === 'Route' ? (routes.get(hop.route)?.tls.mode ?? 'Opportunistic') : 'Opportunistic';
}
