// What tests do with the cluster: as a cluster administrator, as a tenant with the role admin in its namespace, and by SMTP.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import * as z from 'zod';
import { requireProgram } from '../cluster/programs.ts';
import { type CommandResult, runCommand } from '../cluster/run-command.ts';
import { image } from '../image/built-image.ts';
import { waitFor } from '../kubernetes/namespace.ts';
import { restrictedNamespace } from './setup.ts';

const chart = join(import.meta.dirname, '../../charts/postern-tenant');
/** The tenants' person: admin of every namespace that {@link Tenant.create} makes. */
export const anna = 'anna';

/**
 * Runs kubectl as somebody. A failing exit code is returned.
 *
 * @param identity one of the cluster, or `nobody`, for arguments that bring a token
 */
export function kubectlAs(identity: string, args: readonly string[], stdin?: string): Promise<CommandResult> {
  return runCommand(requireProgram('kubectl'), [`--kubeconfig=${kubeconfigOf(identity)}`, ...args], stdin);
}

/** Runs kubectl as the cluster administrator. @returns what it printed. @throws Error with its message */
export async function kubectl(args: readonly string[], stdin?: string): Promise<string> {
  return succeed(`kubectl ${args.join(' ')}`, await kubectlAs('admin', args, stdin));
}

export function kubeconfigOf(identity: string): string {
  const { kubeconfigs } = inject('cluster');
  const found = kubeconfigs[identity];
  if (found === undefined) throw new Error(`the cluster knows no ${identity}`);
  return found;
}

/** Runs a program on the node, where pods and their processes are. @returns what it printed */
export async function onNode(...command: readonly string[]): Promise<string> {
  const [program = '', ...args] = [...inject('cluster').enter, ...command];
  return succeed(command.join(' '), await runCommand(program, args));
}

/** Prints the numbers of Node.js processes in control groups whose path holds $1. Processes may end while it looks. */
const FIND_NODE = `
for process in /proc/[0-9]*; do
  if grep -qs "$1" "$process/cgroup" && grep -qsz '^node$' "$process/cmdline"; then echo "\${process#/proc/}"; fi
done`;

/** The number, on the node, of the Node.js process of a pod. @param uid of the pod */
export async function processOf(uid: string): Promise<string> {
  const [id = ''] = (await onNode('sh', '-c', FIND_NODE, 'sh', uid)).split('\n');
  if (id === '') throw new Error(`pod ${uid} runs no Node.js`);
  return id;
}

function succeed(what: string, { code, stdout, stderr }: CommandResult): string {
  if (code !== 0) throw new Error(`${what} ended with ${code}: ${stderr.trim()}\n${stdout.slice(-2000)}`);
  return stdout;
}

const podList = z.object({
  items: z.array(
    z.object({
      metadata: z.object({
        name: z.string(),
        uid: z.string(),
        deletionTimestamp: z.string().optional(),
        annotations: z.record(z.string(), z.string()).default({}),
      }),
      status: z.object({
        podIP: z.string().optional(),
        conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
      }),
    }),
  ),
});

/** A pod of an MTA. */
export interface MtaPod {
  readonly name: string;
  readonly uid: string;
  readonly ready: boolean;
  readonly ending: boolean;
  /** Empty until it has one. */
  readonly address: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A namespace with an MTA in it. */
export class Tenant {
  readonly namespace: string;

  private constructor(namespace: string) {
    this.namespace = namespace;
  }

  /** Makes the namespace as a cluster administrator does: restricted pods only, Anna is its admin. */
  static async create(namespace: string, annotations?: Readonly<Record<string, string>>): Promise<Tenant> {
    await kubectl(['apply', '-f', '-'], JSON.stringify(restrictedNamespace(namespace, annotations)));
    await kubectl([
      '-n',
      namespace,
      'create',
      'rolebinding',
      'admin',
      '--clusterrole=admin',
      `--user=${anna}`,
    ]);
    return new Tenant(namespace);
  }

  /** Runs kubectl in the namespace as Anna. @returns what it printed. @throws Error with its message */
  async kubectl(args: readonly string[], stdin?: string): Promise<string> {
    return succeed(`kubectl ${args.join(' ')}`, await this.tryKubectl(args, stdin));
  }

  /** Like {@link kubectl}, for what may fail. */
  tryKubectl(args: readonly string[], stdin?: string): Promise<CommandResult> {
    return kubectlAs(anna, ['-n', this.namespace, ...args], stdin);
  }

  /** Runs helm in the namespace as Anna. @throws Error with its message */
  async helm(...args: readonly string[]): Promise<string> {
    const common = [`--kubeconfig=${kubeconfigOf(anna)}`, `--namespace=${this.namespace}`];
    return succeed(`helm ${args.join(' ')}`, await runCommand(requireProgram('helm'), [...common, ...args]));
  }

  /**
   * `helm install|upgrade mail charts/postern-tenant` with the image of this tree, and waits as helm does.
   *
   * @param values over the defaults of the chart
   */
  async chart(verb: 'install' | 'upgrade', values: object, ...args: readonly string[]): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'postern-values-'));
    try {
      const file = join(folder, 'values.json');
      const [repository, tag] = image.split(':');
      await writeFile(
        file,
        JSON.stringify({
          image: { repository, tag },
          resources: { requests: { cpu: '10m', memory: '64Mi' } },
          ...values,
        }),
      );
      return await this.helm(verb, 'mail', chart, `--values=${file}`, '--wait', '--timeout=3m', ...args);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Applies objects as Anna. @returns what kubectl printed */
  apply(...objects: readonly object[]): Promise<string> {
    return this.kubectl(['apply', '-f', '-'], objects.map((one) => JSON.stringify(one)).join('\n---\n'));
  }

  /** Merges into the spec of an object. */
  async patch(resource: string, name: string, spec: object): Promise<void> {
    await this.kubectl(['patch', resource, name, '--type=merge', '-p', JSON.stringify({ spec })]);
  }

  /** `kubectl wait` for a condition. @throws Error with its message after `timeoutSeconds` */
  async wait(object: string, condition = 'Ready', timeoutSeconds = 60): Promise<void> {
    await this.kubectl(['wait', `--for=condition=${condition}`, object, `--timeout=${timeoutSeconds}s`]);
  }

  /** A condition as `True/Programmed: text`. */
  async condition(object: string, type: string): Promise<string> {
    const path = `{range .status.conditions[?(@.type=="${type}")]}{.status}/{.reason}: {.message}{end}`;
    return this.kubectl(['get', object, `-o=jsonpath=${path}`]);
  }

  /** Waits until a condition reads as expected. @returns it */
  waitForCondition(object: string, type: string, expected: RegExp, deadlineMs = 30_000): Promise<string> {
    return waitFor(
      `${type} of ${object} to be ${expected}`,
      () => this.condition(object, type),
      (text) => expected.test(text),
      deadlineMs,
    );
  }

  /** The pods of the MTA, by name. */
  async pods(): Promise<MtaPod[]> {
    const text = await this.kubectl([
      'get',
      'pods',
      '-l',
      'app.kubernetes.io/name=postern-mta',
      '-o',
      'json',
    ]);
    const { items } = podList.parse(JSON.parse(text));
    return items.map(({ metadata, status }) => ({
      name: metadata.name,
      uid: metadata.uid,
      ready: status.conditions.some((one) => one.type === 'Ready' && one.status === 'True'),
      ending: metadata.deletionTimestamp !== undefined,
      address: status.podIP ?? '',
      annotations: metadata.annotations,
    }));
  }

  /** Waits until there are this many pods, all ready, none of them among `other`. */
  waitForPods(count: number, other: readonly string[] = [], deadlineMs = 120_000): Promise<MtaPod[]> {
    return waitFor(
      `${count} ready pods of ${this.namespace}`,
      () => this.pods(),
      (pods) =>
        pods.length === count &&
        pods.every(({ ready, ending, uid }) => ready && !ending && !other.includes(uid)),
      deadlineMs,
    );
  }

  /**
   * Has everything of the tenant taken away, and does not wait: Kubernetes looks at a namespace that has pods to end again after half
   * of their terminationGracePeriodSeconds, which is minutes.
   */
  async remove(): Promise<void> {
    await kubectl(['delete', 'namespace', this.namespace, '--wait=false']);
  }
}

/** An object of Postern. */
export function object(kind: string, name: string, spec: object): object {
  return { apiVersion: 'postern.dev/v1alpha1', kind, metadata: { name }, spec };
}
