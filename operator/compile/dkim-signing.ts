import type { DkimKey } from '../api/index.ts';
import { condition } from './conditions.ts';
import type { DkimTranslation } from './dkim.ts';
import type { DomainSlice } from './domain-slice.ts';
import type { Snapshot } from './model.ts';
import { programmed, type Slice } from './programmed.ts';
import type { Slices } from './status.ts';

/** Where the keys lie, and who has loaded what. */
export interface SigningInput {
  readonly snapshot: Snapshot;
  readonly dkimKeys: readonly DkimKey[];
  /** By MailDomain name. */
  readonly domainSlices: ReadonlyMap<string, DomainSlice>;
  readonly slices: Slices;
}

/** The slices of the policy in which a key signs. */
export function slicesOfKey(
  dkimKey: string,
  { domainSlices, slices }: Pick<SigningInput, 'domainSlices' | 'slices'>,
): Slice[] {
  return [...domainSlices].flatMap(([mailDomain, { policy }]) => {
    const slice = slices.domains.get(mailDomain);
    const signs = policy.dkim.some(({ source }) => source.name === dkimKey);
    return signs && slice !== undefined ? [slice] : [];
  });
}

/**
 * The same results, in which Signing is True only for keys that the pods have proven to hold (K8): it says what is true in
 * them, not what they have been sent.
 */
export function confirmSigning(dkim: DkimTranslation, input: SigningInput): DkimTranslation {
  const objects = new Map(input.dkimKeys.map((object) => [object.metadata.name, object]));
  const results = [...dkim.results].map(([name, { conditions, fields }]) => {
    const confirmed = conditions.map((one) => {
      if (one.type !== 'Signing' || one.status !== 'True') return one;
      const loaded = loadedBy(name, objects.get(name), input);
      const { message = '' } = loaded;
      return loaded.status === 'True'
        ? { ...one, message }
        : condition('Signing', 'False', 'Pending', message);
    });
    return [name, { conditions: confirmed, fields }] as const;
  });
  return { ...dkim, results: new Map(results) };
}

function loadedBy(name: string, object: DkimKey | undefined, input: SigningInput) {
  const slices = slicesOfKey(name, input);
  if (slices.length === 0) {
    return condition('Programmed', 'Unknown', 'Pending', 'Its MailDomain is in the policy of no MTA');
  }
  return programmed({
    slices,
    previous: object?.status?.conditions?.find(({ type }) => type === 'Programmed'),
    generation: object?.metadata.generation ?? 1,
    pods: input.snapshot.observed.pods,
    refusals: input.snapshot.observed.refusals,
    now: input.snapshot.now,
  });
}
