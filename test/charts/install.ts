// The charts in a real API server, by the real helm. There is no node and no controller: objects are judged and stored, pods do not run.
import { setTimeout as delay } from 'node:timers/promises';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { requireProgram } from '../cluster/programs.ts';
import { type CommandResult, runCommand } from '../cluster/run-command.ts';
import { type ChartName, chartFolder, helm } from './helm.ts';

export const operatorNamespace = 'postern-system';
export const operatorAccount = 'postern';

const deadlineMs = 30_000;
const pollMs = 200;

/** Installs CRDs and operator as a cluster administrator does. @param set values of the chart postern */
export async function installOperator(controlPlane: ControlPlane, ...set: string[]): Promise<void> {
  await controlPlane.createNamespace(operatorNamespace);
  await helmAs(controlPlane, 'admin', 'install', 'postern-crds', operatorNamespace, 'postern-crds');
  const established = await controlPlane.kubectl('admin', [
    'wait',
    '--for=condition=Established',
    'crd',
    '--all',
    '--timeout=60s',
  ]);
  if (established.code !== 0) throw new Error(established.stderr);
  await helmAs(
    controlPlane,
    'admin',
    'install',
    'postern',
    operatorNamespace,
    'postern',
    ...set.map((assignment) => `--set=${assignment}`),
  );
  await waitForPolicies(controlPlane);
}

/** Until a policy has read the objects that it looks at, it refuses everything: waits until each of them takes what it should. */
async function waitForPolicies(controlPlane: ControlPlane): Promise<void> {
  const kubectl = (args: readonly string[], stdin?: string) =>
    controlPlane.kubectl('admin', ['-n', operatorNamespace, ...args], stdin);
  const named = (kind: string, spec: object) =>
    JSON.stringify({ apiVersion: 'postern.dev/v1alpha1', kind, metadata: { name: 'first' }, spec });
  const objects = [
    named('Route', { host: 'mail.example' }),
    named('MailDomain', { domain: 'first.example', mailbox: { routeRef: { name: 'other' } } }),
    named('InboundGateway', { domainRefs: [{ name: 'first' }], addresses: ['192.0.2.1'] }),
    named('DkimKey', { domainRef: { name: 'first' } }),
  ];
  const isDone = ({ code }: CommandResult) => code === 0;
  await eventually('the policies', () => kubectl(['apply', '-f', '-'], objects.join('\n---\n')), isDone);
  const all = [
    'delete',
    '--ignore-not-found',
    'dkimkeys,inboundgateways,maildomains,routes.postern.dev',
    'first',
  ];
  await eventually('the policies on deletion', () => kubectl(all), isDone);
}

/** `helm install|upgrade` of a chart. @throws Error with helm's message */
export async function helmAs(
  controlPlane: ControlPlane,
  identity: string,
  verb: 'install' | 'upgrade',
  release: string,
  namespace: string,
  chart: ChartName,
  ...args: string[]
): Promise<void> {
  const kubeconfig = await controlPlane.kubeconfigFor(identity);
  const result = await helm(
    verb,
    release,
    chartFolder(chart),
    `--namespace=${namespace}`,
    `--kubeconfig=${kubeconfig}`,
    ...args,
  );
  if (result.code !== 0) throw new Error(`helm ${verb} ${release} as ${identity}: ${result.stderr}`);
}

/** kubectl with the token that the operator's pod has. */
export async function kubectlAsOperator(
  controlPlane: ControlPlane,
  args: readonly string[],
  stdin?: string,
): Promise<CommandResult> {
  const kubeconfig = await controlPlane.kubeconfigForServiceAccount(operatorNamespace, operatorAccount);
  return runCommand(requireProgram('kubectl'), [`--kubeconfig=${kubeconfig}`, ...args], stdin);
}

/**
 * Runs a command until its outcome is accepted: policies and what they look at reach the API server's caches within seconds.
 *
 * @throws Error with the last outcome after 30 s
 */
export async function eventually(
  what: string,
  run: () => Promise<CommandResult>,
  accepts: (result: CommandResult) => boolean,
): Promise<CommandResult> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const result = await run();
    if (accepts(result)) return result;
    if (performance.now() > deadline)
      throw new Error(`waited for ${what}; the last outcome is ${JSON.stringify(result)}`);
    await delay(pollMs);
  }
}
