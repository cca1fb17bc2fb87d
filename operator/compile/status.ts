import type { Condition, ObjectStatus, PosternObject } from '../api/index.ts';
import { type ConditionInput, condition, mergeConditions, readyFrom } from './conditions.ts';
import type { PodObservation, Snapshot, StatusRecord } from './model.ts';
import { type Entry, isPaused } from './objects.ts';
import { programmed, type Slice } from './programmed.ts';

/** Where the slices of the policy lie, for the condition Programmed. */
export interface Slices {
  /** By MailDomain name; absent if the domain is in no bundle. */
  readonly domains: ReadonlyMap<string, Slice>;
  /** By Route name, one for each MTA that needs it. */
  readonly routes: ReadonlyMap<string, readonly Slice[]>;
  /** MailDomains and Routes that did not fit, by `<kind>/<name>`, with the name of their MTA. */
  readonly tooLarge: ReadonlyMap<string, string>;
}

/** What the compiler has to say about one object. */
export interface Findings {
  /** Accepted, ResolvedRefs, and for a DkimKey KeyGenerated: all that counts for Ready besides Programmed. */
  readonly counting: readonly ConditionInput[];
  /** The slices it lies in. */
  readonly slices: readonly Slice[];
  /** Of the MailDomains and Routes it needs, one that did not fit. */
  readonly tooLarge?: string | undefined;
  /** Entries that cover addresses of the cluster and are left out. */
  readonly untrusted?: string | undefined;
  /** Conditions that do not count for Ready. */
  readonly others: readonly ConditionInput[];
  /** The other fields of its status. */
  readonly fields: Omit<ObjectStatus, 'conditions' | 'observedGeneration'>;
}

/** Puts the status of one object together. */
export function statusOf(entry: Entry, findings: Findings, snapshot: Snapshot): StatusRecord {
  const { written } = entry;
  const { metadata, status: previous } = written;
  const generation = metadata.generation ?? 1;
  const counting = isPaused(written) ? findings.counting.map(pause) : findings.counting;
  const loaded = programmed({
    slices: findings.slices,
    ...(findings.tooLarge === undefined ? {} : { tooLarge: findings.tooLarge }),
    ...(findings.untrusted === undefined ? {} : { untrusted: findings.untrusted }),
    previous: previous?.conditions?.find(({ type }) => type === 'Programmed'),
    generation,
    pods: snapshot.observed.pods,
    refusals: snapshot.observed.refusals,
    now: snapshot.now,
  });
  const [accepted, resolvedRefs, ...rest] = counting;
  const shown = [
    accepted,
    resolvedRefs,
    loaded,
    readyFrom([...counting, loaded]),
    ...rest,
    ...findings.others,
  ];
  const conditions = shown.flatMap((one) => one ?? []);
  return record(
    written,
    mergeConditions(previous?.conditions, conditions, generation, snapshot.now),
    findings.fields,
  );
}

/** Status of an object that is not compiled, because it was paused before it ever acted. */
export function statusOfIdle({ written }: Entry, snapshot: Snapshot): StatusRecord {
  const pending = 'Not looked at while paused';
  const counting = [
    pause(condition('Accepted', 'Unknown', 'Pending')),
    condition('ResolvedRefs', 'Unknown', 'Pending', pending),
    condition('Programmed', 'Unknown', 'Pending', pending),
  ];
  const generation = written.metadata.generation ?? 1;
  const inputs = [...counting, readyFrom(counting)];
  return record(written, mergeConditions(written.status?.conditions, inputs, generation, snapshot.now), {});
}

/** Names of ready pods of an MTA. */
export function readyPods(mta: string, pods: readonly PodObservation[]): PodObservation[] {
  return pods.filter((pod) => pod.mta === mta && pod.ready);
}

/** The compiled policy of a paused object stays, but it is not what its spec says: Accepted is False (G16). */
function pause(input: ConditionInput): ConditionInput {
  if (input.type !== 'Accepted') return input;
  const message = 'postern.dev/paused is true: the compiled policy stays as it was';
  return condition('Accepted', 'False', 'Paused', message);
}

function record(
  { kind, metadata }: PosternObject,
  conditions: Condition[],
  fields: Findings['fields'],
): StatusRecord {
  const observedGeneration = metadata.generation ?? 1;
  return { kind, name: metadata.name, status: { observedGeneration, conditions, ...fields } };
}
