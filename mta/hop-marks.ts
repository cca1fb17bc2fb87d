import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Leg } from '../bundle/leg.ts';
import { canonicalDomain, parseMailbox } from '../policy/mailbox.ts';
import type { DataFacts, HeaderField, HopMarks } from '../policy/types.ts';

/** Says that the mail has been at a Route (G10), and that it was Internal when it went to the gateway (D8). */
const hopField = 'X-Postern-Hop';
const internalField = 'X-Postern-Internal';
const hopName = hopField.toLowerCase();
const internalName = internalField.toLowerCase();
/** D8: seconds that Internal mail has for its way through the gateway. */
const internalSeconds = 24 * 60 * 60;
/** Marks of one message that are looked at. A message that comes here more often is a loop by its Received lines. */
const maxMarks = 32;
/** Bytes of a digest in a mark. */
const digestBytes = 16;

type Headers = DataFacts['headers'];

/**
 * Makes and verifies the marks that mail carries on its way through other servers. They are HMAC-SHA256 under the tenant's key,
 * bound to the Message-ID: whoever sees one can use it for no other message, recipient or Route, and reads no name in it.
 */
export class HopMarker {
  private readonly key: Buffer;

  /** @param key of the secret bundle, base64url. */
  constructor(key: string) {
    this.key = Buffer.from(key, 'base64url');
  }

  /**
   * The marks of an incoming message, verified.
   * @param now seconds since the epoch.
   * @returns undefined if there are none: nearly always, and at no cost.
   */
  read(headers: Headers, envelopeFrom: string, now: number): HopMarks | undefined {
    const own = marksIn(headers);
    if (own.length === 0) return undefined;
    const id = messageIdOf(headers);
    const visited = new Set(this.visits(own, id));
    const trips = own.filter(([name]) => name.toLowerCase() === internalName);
    return {
      hasVisited: (route, recipient) => visited.has(this.placeOf(route, recipient)),
      isInternal: (recipient) =>
        trips.some(([, value]) => this.holds(value, { envelopeFrom, recipient, id, now })),
    };
  }

  /**
   * Each mark of an incoming message, in the order of its header, and whether it holds: made under this key for this message, and
   * the one of Internal mail for one of the recipients and not too long ago.
   * @param now seconds since the epoch.
   */
  inspect(
    headers: Headers,
    { envelopeFrom, recipients, now }: { envelopeFrom: string; recipients: readonly string[]; now: number },
  ): { field: string; valid: boolean }[] {
    const id = messageIdOf(headers);
    return marksIn(headers).map((mark) => {
      const [field, value] = mark;
      const valid = isHop(field)
        ? this.visits([mark], id).length > 0
        : recipients.some((recipient) => this.holds(value, { envelopeFrom, recipient, id, now }));
      return { field, valid };
    });
  }

  /**
   * The marks for the copy of a message that goes to a Route: that it has been there, where it was before, and if it is Internal
   * mail for the gateway, that too. The one for the gateway is made anew each time and goes nowhere else.
   * @param now seconds since the epoch.
   */
  marksFor(leg: Leg, headers: Headers, envelopeFrom: string, now: number): HeaderField[] {
    if (leg.hop.kind !== 'Route') return [];
    const id = messageIdOf(headers);
    const before = this.visits(headers, id);
    const places = new Set([this.placeOf(leg.hop.route, leg.recipient), ...before]);
    const marks = [...places]
      .slice(0, maxMarks)
      .map((place): HeaderField => [hopField, `${place}.${this.digest('visit', place, id)}`]);
    if (leg.purpose !== 'Gateway') return marks;
    const expires = now + internalSeconds;
    const trip = { envelopeFrom, recipient: leg.recipient, id, expires };
    return [...marks, [internalField, `${expires}.${this.trip(trip)}`]];
  }

  /** Places (digests of Route and recipient) that the message has been at, by marks that we have made. */
  private visits(headers: Headers, id: string): string[] {
    return headers
      .filter(([name]) => isHop(name))
      .slice(0, maxMarks)
      .flatMap(([, value]) => {
        const [place = '', digest = ''] = value.trim().split('.');
        return isEqual(digest, this.digest('visit', place, id)) ? [place] : [];
      });
  }

  private holds(
    value: string,
    {
      envelopeFrom,
      recipient,
      id,
      now,
    }: { envelopeFrom: string; recipient: string; id: string; now: number },
  ): boolean {
    const [expires = '', digest = ''] = value.trim().split('.');
    if (!/^\d{1,12}$/.test(expires) || Number(expires) <= now) return false;
    return isEqual(digest, this.trip({ envelopeFrom, recipient, id, expires: Number(expires) }));
  }

  private trip({
    envelopeFrom,
    recipient,
    id,
    expires,
  }: {
    envelopeFrom: string;
    recipient: string;
    id: string;
    expires: number;
  }): string {
    return this.digest('internal', canonical(envelopeFrom), canonical(recipient), id, String(expires));
  }

  private placeOf(route: string, recipient: string): string {
    return this.digest('place', route, canonical(recipient));
  }

  /** No part can reach into the next one: each is preceded by its length. */
  private digest(...parts: string[]): string {
    const hmac = createHmac('sha256', this.key);
    for (const part of parts) hmac.update(`${Buffer.byteLength(part)}:${part}`);
    return hmac.digest().subarray(0, digestBytes).toString('base64url');
  }
}

/** The marks of a message that are looked at, whoever made them. */
export function marksIn(headers: Headers): Headers {
  const isMark = (name: string) => name === hopName || name === internalName;
  return headers.filter(([name]) => isMark(name.toLowerCase())).slice(0, maxMarks);
}

function isHop(name: string): boolean {
  return name.toLowerCase() === hopName;
}

/** What a mark is bound to. Of several, all: whoever adds one makes another message of it. */
function messageIdOf(headers: Headers): string {
  const ids = headers.filter(([name]) => name.toLowerCase() === 'message-id');
  return ids.map(([, value]) => value.replace(/\s+/g, '')).join(' ');
}

/** Hops may write an address in other letters. */
function canonical(address: string): string {
  const mailbox = parseMailbox(address);
  if (mailbox === undefined) return address.toLowerCase();
  return `${mailbox.localPart.toLowerCase()}@${canonicalDomain(mailbox.domain)}`;
}

function isEqual(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}

const markers = new Map<string, HopMarker>();

/** The marker of a key: remembered, for the key hardly ever changes. */
export function hopMarkerOf(key: string): HopMarker {
  const known = markers.get(key);
  if (known !== undefined) return known;
  markers.clear();
  const marker = new HopMarker(key);
  markers.set(key, marker);
  return marker;
}
