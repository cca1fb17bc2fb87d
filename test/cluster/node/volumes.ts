// Volumes for claims: folders of the node, made beforehand, because nobody provisions them.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ControlPlane } from '../control-plane.ts';
import { nodeName } from './node.ts';

const storageClass = 'local';

/** Makes a default StorageClass and this many volumes of it. They are kept when their claims go. */
export async function makeVolumes(controlPlane: ControlPlane, folder: string, count: number): Promise<void> {
  const objects: object[] = [
    {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: {
        name: storageClass,
        annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
      },
      provisioner: 'kubernetes.io/no-provisioner',
      volumeBindingMode: 'WaitForFirstConsumer',
    },
  ];
  for (let index = 0; index < count; index += 1) {
    const path = join(folder, `volume-${index}`);
    await mkdir(path, { recursive: true });
    objects.push({
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: `volume-${index}` },
      spec: {
        capacity: { storage: '10Gi' },
        accessModes: ['ReadWriteOnce'],
        persistentVolumeReclaimPolicy: 'Retain',
        storageClassName: storageClass,
        // "local" and not hostPath: fsGroup is applied to it, as to the volumes of a real cluster.
        local: { path },
        nodeAffinity: {
          required: {
            nodeSelectorTerms: [
              {
                matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [nodeName] }],
              },
            ],
          },
        },
      },
    });
  }
  const text = objects.map((object) => JSON.stringify(object)).join('\n---\n');
  const { code, stderr } = await controlPlane.kubectl('admin', ['apply', '-f', '-'], text);
  if (code !== 0) throw new Error(`the volumes: ${stderr}`);
}
