import { type ConditionInput, condition } from './conditions.ts';
import type { PodObservation, Snapshot, Want } from './model.ts';

/** A slice of one MTA's policy that must be loaded before an object counts as programmed. */
export interface Slice {
  readonly mta: string;
  readonly kind: 'domains' | 'routes';
  /** Domain or Route name. */
  readonly name: string;
  /** The hash that a pod reports once it has loaded it. */
  readonly hash: string;
  /** If the slice has a secret half: the revision that a pod must report, too. */
  readonly secretsRevision?: string;
}

export interface ProgrammedInput {
  readonly slices: readonly Slice[];
  /** Why nothing, or not all, of the object is in the bundle although it should be. */
  readonly tooLarge?: string;
  /** Which entries are left out because they cover addresses of the cluster (G14). */
  readonly untrusted?: string;
  /** The condition as it was reported last. */
  readonly previous:
    | { readonly status: string; readonly reason: string; readonly observedGeneration?: number | undefined }
    | undefined;
  readonly generation: number;
  readonly pods: readonly PodObservation[];
  /** As in the snapshot. */
  readonly refusals?: Readonly<Record<string, string>> | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** For so long a ready pod may report an older policy before an object that was programmed is called otherwise, milliseconds. */
const grace = 60_000;
const maxNamedPods = 10;

/**
 * The condition Programmed: every MTA of the slices has a ready pod, and all ready pods reported them (G7).
 *
 * It is sticky: once True for a generation it turns False only if a ready pod reports something older for over a minute, so a
 * restart or a change of a neighbour does not make it flicker. A generation that was never programmed says what it waits for.
 */
export function programmed(input: ProgrammedInput): ConditionInput {
  const { slices, tooLarge, untrusted, previous, generation, pods, refusals = {}, now } = input;
  if (tooLarge !== undefined) return condition('Programmed', 'False', 'ConfigTooLarge', tooLarge);
  if (untrusted !== undefined) return condition('Programmed', 'False', 'RangeNotTrusted', untrusted);
  if (slices.length === 0) return condition('Programmed', 'True', 'NothingToProgram');
  const mtas = [...new Set(slices.map(({ mta }) => mta))].sort();
  const loaded = condition(
    'Programmed',
    'True',
    'Programmed',
    `Loaded by all ready pods of MTA ${mtas.join(', ')}`,
  );
  const was =
    previous?.status === 'True' &&
    previous.reason === 'Programmed' &&
    previous.observedGeneration === generation;

  const ready = pods
    .filter((pod) => pod.ready && mtas.includes(pod.mta))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
  const behind = ready.filter((pod) => !hasLoaded(pod, slices));
  const [refusal] = mtas.flatMap((mta) => refusals[`mta/${mta}`] ?? []);
  const refused =
    refusal === undefined ? undefined : condition('Programmed', 'False', 'WriteRefused', refusal);
  if (was) {
    const late = behind.filter(
      (pod) => pod.state.ok && pod.behindSince !== undefined && now - pod.behindSince > grace,
    );
    return late.length === 0 ? loaded : (refused ?? waitingFor(late, ready));
  }
  const empty = mtas.filter((mta) => !ready.some((pod) => pod.mta === mta));
  if (refused !== undefined && (empty.length > 0 || behind.length > 0)) return refused;
  if (empty.length > 0) {
    return condition('Programmed', 'Unknown', 'NoReadyPods', `MTA ${empty.join(', ')} has no ready pod`);
  }
  return behind.length === 0 ? loaded : waitingFor(behind, ready);
}

/** When to look again although nothing changes: at the end of the grace of pods that are behind. */
export function graceEnds({ observed, now }: Snapshot): Want[] {
  const dues = observed.pods.flatMap(({ behindSince }) =>
    behindSince === undefined ? [] : behindSince + grace + 1,
  );
  const next = dues.filter((due) => due > now).sort((left, right) => left - right)[0];
  return next === undefined ? [] : [{ kind: 'recompile', due: next }];
}

function hasLoaded({ mta, state }: PodObservation, slices: readonly Slice[]): boolean {
  if (!state.ok) return false;
  const { value } = state;
  return slices.every(
    ({ mta: wanted, kind, name, hash, secretsRevision }) =>
      wanted !== mta ||
      (Object.hasOwn(value[kind], name) &&
        value[kind][name] === hash &&
        (secretsRevision === undefined || secretsRevision === value.secretsRevision)),
  );
}

function waitingFor(behind: readonly PodObservation[], ready: readonly PodObservation[]): ConditionInput {
  const failed = behind.find(({ state }) => state.ok && state.value.loadError !== null);
  if (failed?.state.ok === true) {
    const message = `Pod ${failed.name} goes on with its last good policy: ${failed.state.value.loadError?.message}`;
    return condition('Programmed', 'False', 'LoadFailed', message);
  }
  const names = behind.map(({ name, state }) => (state.ok ? name : `${name} (${state.problem})`));
  const rest = names.length > maxNamedPods ? ` and ${names.length - maxNamedPods} more` : '';
  const message = `Waiting for pod ${names.slice(0, maxNamedPods).join(', ')}${rest}`;
  if (behind.length < ready.length) return condition('Programmed', 'False', 'PartiallyProgrammed', message);
  return condition('Programmed', 'Unknown', 'Pending', message);
}
