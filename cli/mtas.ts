import type { MtaState } from '../bundle/state.ts';
import { fetchPodState, podAddress } from '../operator/observe/pod-state.ts';
import { describeError, Misuse } from './failure.ts';
import { type Method, requestJson, runningMta } from './running-mta.ts';
import type { Shell } from './shell.ts';
import { loadSnapshot } from './snapshot.ts';
import { namespaceOf, type SourceFlags } from './source.ts';

/** An MTA process that can be asked. */
export interface ReachableMta {
  /** Name of its pod; undefined for the MTA of a folder. */
  readonly pod: string | undefined;
  /** @throws Error if it does not answer, or refuses. */
  ask(path: string, method?: Method): Promise<unknown>;
  /** What it has loaded, and how its mail fares. @throws Error if it does not answer within two seconds, or refuses. */
  state(): Promise<MtaState>;
}

/**
 * The MTA that serves a folder, or the MTA pods of a namespace.
 *
 * @param pod only this one.
 * @throws Misuse if there is no state folder, or no such pod
 * @throws Error if no MTA serves
 */
export async function findMtas(
  shell: Shell,
  source: SourceFlags,
  pod?: string,
): Promise<readonly ReachableMta[]> {
  if (source.folder !== undefined) {
    if (pod !== undefined) throw new Misuse('--pod goes with a namespace: a folder has one MTA');
    return [await findInFolder(shell, source)];
  }
  const { withCluster } = await import('./cluster.ts');
  const { readPods } = await import('../operator/platform/kubernetes/one-shot.ts');
  const namespace = namespaceOf(source);
  const pods = await withCluster(source, (client) => readPods(client, namespace, shell.now()));
  if (pods.length === 0) throw new Error(`namespace ${namespace} has no MTA pod with an address`);
  const wanted = pods.filter(({ name }) => pod === undefined || name === pod);
  if (wanted.length === 0) {
    const names = pods.map(({ name }) => name).join(', ');
    throw new Misuse(
      `--pod ${pod}: namespace ${namespace} has no such MTA pod with an address; there is ${names}`,
    );
  }
  return wanted.map(({ name, address, port, token }) => reachable(name, podAddress(address, port), token));
}

function reachable(pod: string | undefined, address: string, token: string): ReachableMta {
  return {
    pod,
    ask: (path, method) => requestJson(address, token, path, method),
    state: async () => {
      const state = await fetchPodState(address, token, new AbortController().signal);
      if (!state.ok) throw new Error(state.problem);
      return state.value;
    },
  };
}

async function findInFolder(shell: Shell, source: SourceFlags): Promise<ReachableMta> {
  const { state } = await loadSnapshot(shell, source, shell.now());
  if (state === undefined) {
    throw new Misuse(
      'no state folder of `postern standalone` for this folder: start it, or name its state with --state DIR',
    );
  }
  const { address, token } = await runningMta(state);
  return reachable(undefined, address, token);
}

/**
 * Asks all of them at once. A pod that does not answer is left out with a note.
 * @throws Error if none answers.
 */
export async function askAll<T>(
  shell: Shell,
  mtas: readonly ReachableMta[],
  ask: (mta: ReachableMta) => Promise<T>,
): Promise<readonly T[]> {
  const answers = await Promise.all(
    mtas.map(async (mta) => {
      try {
        return [await ask(mta)];
      } catch (error) {
        if (mta.pod === undefined) throw error;
        shell.warn(`note: pod ${mta.pod} is left out: ${describeError(error)}`);
        return [];
      }
    }),
  );
  const given = answers.flat();
  if (answers.some((answer) => answer.length > 0)) return given;
  throw new Error(
    'no MTA pod could be asked: their addresses are those of the cluster, so run this where pods can be reached',
  );
}
