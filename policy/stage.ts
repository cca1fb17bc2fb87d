import type { Leg } from '../bundle/leg.ts';
import type { SourceRef } from '../bundle/source.ts';
import type { Mailbox, Path } from './mailbox.ts';
import type { OriginalClient, Peer } from './original-client.ts';
import type { Domain, Policy } from './policy.ts';
import type { ReplyCase } from './reply.ts';
import type { Because, HeaderField, Lookup, MarkedLeg } from './types.ts';

/**
 * One stage of judgement. It sees the facts, the part of the policy they concern, and what earlier stages noted; it decides
 * one thing and knows nothing of the others.
 */
export interface Stage<Facts, Scope> {
  /** Kebab case: the word in traces and references. */
  readonly name: string;
  /** Behaviours (mission ids) that it carries. */
  readonly ids: readonly string[];
  /** One sentence for the reference page. */
  readonly about: string;
  /** Undefined: nothing against it. */
  readonly judge: (facts: Facts, scope: Scope, notes: Notes) => Finding | undefined;
}

/** What a stage found. */
export type Finding =
  | {
      readonly outcome: 'reject';
      readonly reply: ReplyCase;
      readonly because: Because;
      readonly detail: string;
    }
  | { readonly outcome: 'need'; readonly lookup: Lookup }
  | { readonly outcome: 'note'; readonly detail: string; readonly because?: Because; readonly notes: Notes }
  | { readonly outcome: 'skip'; readonly detail: string };

/** What stages tell later ones and the verdict. */
export interface Notes {
  /** The allow entry that covers the peer; behind a gateway the one that covers the original client (A6, A12). */
  readonly allowed?: Because;
  /** The peer is a registered hop of the domain's gateway. */
  readonly viaGateway?: boolean;
  /** Internal mail that comes back from the gateway, by its keyed mark (D8). */
  readonly returned?: boolean;
  /** Set at end of DATA for mail via a gateway. */
  readonly originalClient?: OriginalClient;
  /** Why mail of a recipient domain (canonical name) goes to Junk; without an entry it goes to the Inbox. */
  readonly junk?: ReadonlyMap<string, Because>;
  /** Why the content filter is asked for viruses only (A6, D10). */
  readonly virusOnly?: Because;
  readonly messageKey?: string;
  /** The sender of the envelope is who it says (G9): SPF or an aligned signature passed. Absent: nobody has looked. */
  readonly proven?: boolean;
  /** Header fields for the top of every copy. */
  readonly headers?: readonly HeaderField[];
  /** One list for each recipient. */
  readonly marked?: readonly (readonly MarkedLeg[])[];
  /** One list of legs for each recipient. */
  readonly legs?: readonly (readonly Leg[])[];
}

export interface ConnectScope {
  /** Undefined until a bundle has been loaded. */
  readonly policy: Policy | undefined;
  readonly draining: boolean;
}

export interface MailScope {
  readonly policy: Policy;
  readonly sender: Path;
}

export interface RcptScope extends MailScope {
  readonly recipient: Path;
  /** The hosted domain of the recipient. */
  readonly domain?: Domain;
  /** Undefined if the peer address cannot be read. */
  readonly peer?: Peer;
}

export interface DataScope extends MailScope {
  /** In the order of the facts. */
  readonly recipients: readonly { readonly recipient: Path; readonly domain?: Domain }[];
  /** Hosted domains of the recipients, without duplicates. */
  readonly domains: readonly Domain[];
  /** Undefined if the peer address cannot be read. */
  readonly peer?: Peer;
  /** The domain of the authenticated account. */
  readonly accountDomain?: Domain;
  /** Addresses of the From header; undefined if it is not one valid header. */
  readonly from?: readonly Mailbox[];
}

/** An object decided, by this entry or field of it. */
export function byObject({ kind, name, generation }: SourceRef, entry: string): Because {
  return { kind, name, generation, entry };
}

/** Postern's own rule decided. */
export function byRule(stage: string, entry: ReplyCase): Because {
  return { kind: 'Postern', name: stage, generation: 0, entry };
}

/** A refusal by Postern's own rule. */
export function refuse(stage: string, reply: ReplyCase, detail: string): Finding {
  return { outcome: 'reject', reply, because: byRule(stage, reply), detail };
}
