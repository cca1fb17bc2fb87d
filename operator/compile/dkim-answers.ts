import type { DkimAnswer, DkimObservation } from './model.ts';

type Result = DkimAnswer['result'];

/** From best to worst. A definite answer says more than a failed question. */
const severity: readonly Result[] = [
  'Match',
  'ResolverError',
  'RecordNotFound',
  'ValueMismatch',
  'KeyTooShort',
  'Revoked',
  'MultipleRecords',
  'CnameLoop',
];

/** What all name servers together say about a record. */
export interface DkimVerdict {
  readonly result: Result | 'PartiallyPropagated';
  /** Stable: the same answers give the same text in whatever order they came. */
  readonly message: string;
}

/** The worse of two answers; the first of two equals. */
export function worseAnswer(left: DkimAnswer, right: DkimAnswer): DkimAnswer {
  return severity.indexOf(right.result) > severity.indexOf(left.result) ? right : left;
}

/**
 * Joins the answers of all name servers. All must match: a receiver asks any of them. Where some do and others definitely
 * do not, the record is on its way (PartiallyPropagated); a server that could not be asked leaves it open (ResolverError).
 */
export function joinAnswers(nameservers: DkimObservation['nameservers']): DkimVerdict {
  const sorted = [...nameservers].sort((left, right) => (left.name < right.name ? -1 : 1));
  if (sorted.length === 0) return { result: 'ResolverError', message: 'No name server was asked.' };
  const matching = sorted.filter(({ answer }) => answer.result === 'Match');
  const definite = sorted.filter(
    ({ answer }) => answer.result !== 'Match' && answer.result !== 'ResolverError',
  );
  const list = describe(sorted.filter(({ answer }) => answer.result !== 'Match'));
  if (matching.length === sorted.length) return { result: 'Match', message: describe(sorted) };
  if (definite.length === 0) return { result: 'ResolverError', message: list };
  if (matching.length > 0) {
    const message = `${matching.length} of ${sorted.length} name servers have the record. ${list}`;
    return { result: 'PartiallyPropagated', message };
  }
  const worst = definite.map(({ answer }) => answer).reduce(worseAnswer);
  return { result: worst.result, message: list };
}

/** `ns1.example, ns2.example: there is no TXT record.`, servers of one answer together. */
function describe(nameservers: DkimObservation['nameservers']): string {
  const names = new Map<string, string[]>();
  for (const { name, answer } of nameservers) {
    if (answer.detail === undefined) continue;
    names.set(answer.detail, [...(names.get(answer.detail) ?? []), name]);
  }
  return [...names].map(([detail, servers]) => `${servers.join(', ')}: ${detail}.`).join(' ');
}
