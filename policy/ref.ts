import type { PolicyBundle } from '../bundle/policy-bundle.ts';
import { fields, routingField } from './field.ts';
import { basis, extend, hash32, mix } from './hash.ts';
import { order } from './order.ts';
import { replies } from './reply.ts';
import type { Because } from './types.ts';

/** Crockford's base32: no I, L, O or U, so that a reference survives being read out. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** An object of the bundle with all entries that could have decided. */
interface Candidate {
  readonly source: Pick<Because, 'kind' | 'name' | 'generation'>;
  readonly entries: Set<string>;
}

/** What a reference may stand for. */
export interface Resolved {
  /** With the generation at which it decided. `entry` is empty if the object has no such entry any more. */
  readonly because: Because;
  /** The generation that the bundle holds now. */
  readonly currentGeneration: number;
}

/** The reference of a refusal (B7): four characters for the object and its generation, four for the entry in it. */
export function refOf({ kind, name, generation, entry }: Because): string {
  return digest(mix(extend(objectState(kind, name), String(generation)))) + digest(hash32(entry));
}

/**
 * Finds what a reference stands for, from the bundle alone. Forty bits can meet by chance, so all matches are given: those
 * whose entry is still there; only if there is none, objects that match without it. Newest generation first.
 * @param ref eight characters; lower case, and O, I and L for 0 and 1, are read as Crockford meant.
 * @returns nothing if the object is not in the bundle, or the text is no reference.
 */
export function resolveRef(bundle: PolicyBundle, ref: string): Resolved[] {
  const text = ref.toUpperCase().replace(/O/g, '0').replace(/[IL]/g, '1');
  if (!/^[0-9A-HJKMNP-TV-Z]{8}$/.test(text)) return [];
  const [object, entry] = [text.slice(0, 4), text.slice(4)];
  const found: Resolved[] = [];
  for (const { source, entries } of candidates(bundle).values()) {
    const generations = generationsOf(source, object);
    if (generations.length === 0) continue;
    const matching = [...entries].filter((one) => digest(hash32(one)) === entry);
    for (const generation of generations) {
      for (const one of matching.length > 0 ? matching : ['']) {
        const because = { ...source, generation, entry: one };
        found.push({ because, currentGeneration: source.generation });
      }
    }
  }
  const exact = found.filter(({ because }) => because.entry !== '');
  return (exact.length > 0 ? exact : found).sort((a, b) => b.because.generation - a.because.generation);
}

function generationsOf({ kind, name, generation }: Candidate['source'], wanted: string): number[] {
  const state = objectState(kind, name);
  const found: number[] = [];
  // Rules of Postern's own have generation 0, objects begin at 1.
  for (let one = generation; one >= Math.min(1, generation); one--) {
    if (digest(mix(extend(state, String(one)))) === wanted) found.push(one);
  }
  return found;
}

/** Every object of the bundle once, with all its entries in both views. */
function candidates({ domains, audited, lists }: PolicyBundle): Map<string, Candidate> {
  const found = new Map<string, Candidate>();
  const add = ({ kind, name, generation }: Candidate['source'], entries: Iterable<string>) => {
    const key = `${kind} ${name}`;
    const candidate = found.get(key) ?? { source: { kind, name, generation }, entries: new Set() };
    found.set(key, candidate);
    for (const entry of entries) candidate.entries.add(entry);
  };
  for (const { name } of Object.values(order).flat()) {
    add({ kind: 'Postern', name, generation: 0 }, Object.keys(replies));
  }
  for (const { source, ranges } of lists) add(source, ranges);
  for (const { source, gateway, tls } of [...domains, ...audited]) {
    add(source, fieldEntries);
    if (gateway !== undefined) add(gateway.source, fieldEntries);
    for (const { from, peer } of tls.inbound) for (const policy of from) add(policy, [peer]);
  }
  return found;
}

const fieldEntries = [
  'spec',
  ...Object.values(fields),
  ...['Internal', 'External'].flatMap((match) =>
    ['Known', 'Unknown'].map((target) => routingField(match, target)),
  ),
];

function objectState(kind: string, name: string): number {
  return extend(extend(extend(basis, kind), ` ${name}`), ' ');
}

/** The upper 20 bits as four characters. */
function digest(hash: number): string {
  let text = '';
  for (let shift = 27; shift >= 12; shift -= 5) text += alphabet[(hash >>> shift) & 31] ?? '';
  return text;
}
