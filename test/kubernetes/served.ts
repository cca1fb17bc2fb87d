import { afterAll, beforeAll } from 'vitest';
import type { RunningOperator } from '../../operator/operator.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { Kubelet } from './kubelet.ts';
import { crdFolder, TestNamespace, tenant } from './namespace.ts';
import { startOperatorIn } from './operator.ts';

/** A namespace in which an operator serves the MailDomain `here`, and one pod of the MTA runs. */
export interface ServedDomain {
  readonly space: TestNamespace;
  /** Ends the operator, and starts another one. */
  restartOperator(): Promise<void>;
}

/**
 * Sets up a served namespace for the tests of a file, and takes it down after them.
 * @param prefix of the namespace's name.
 * @param pod name of the pod.
 */
export function useServedDomain(prefix: string, pod: string): ServedDomain {
  const cluster = useControlPlane({ identities: [tenant] });
  let space: TestNamespace | undefined;
  let kubelet: Kubelet | undefined;
  let operator: RunningOperator | undefined;
  const present = () => {
    if (space === undefined) throw new Error('the namespace is made before the tests');
    return space;
  };
  const startOperator = async () => {
    operator = await startOperatorIn(present(), { slowPollMs: 500 });
  };
  beforeAll(async () => {
    await cluster.current.installCrds(crdFolder);
    space = await TestNamespace.prepare(cluster.current, await cluster.freshNamespace(prefix));
    kubelet = await Kubelet.start(space.admin, space.name, 'default', 1);
    await kubelet.addPod(pod);
    await startOperator();
    await space.apply({
      apiVersion: 'postern.dev/v1alpha1',
      kind: 'MailDomain',
      metadata: { name: 'here' },
      spec: {
        domain: 'here.example',
        mailbox: { maildir: {} },
        recipients: { mode: 'List', addresses: ['bob'] },
      },
    });
    await space.waitForCondition('maildomains', 'here', 'Ready', /^True/);
  });
  afterAll(async () => {
    await operator?.stop();
    await kubelet?.stop();
    space?.admin.close();
  });
  return {
    get space() {
      return present();
    },
    restartOperator: async () => {
      await operator?.stop();
      await startOperator();
    },
  };
}
