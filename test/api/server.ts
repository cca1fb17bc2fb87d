import { afterAll, beforeAll } from 'vitest';
import * as z from 'zod';
import { kinds } from '../../operator/api/index.ts';
import { type ControlPlane, startControlPlane } from '../cluster/control-plane.ts';
import { Api } from '../kubernetes/api.ts';
import type { Manifest } from './cases/case.ts';

/** What the API server said: the object as it is (or would be) stored, or why it is refused. */
type Answer = { ok: true; spec: unknown; status: unknown } | { ok: false; message: string };

/** A real API server with the CRDs of this repository, and a namespace `tenant`. */
export type CrdServer = {
  readonly plane: ControlPlane;
  /** Creates an object with `fieldValidation=Strict`, as kubectl does; kubectl itself would take minutes for all cases. */
  create(manifest: Manifest): Promise<Answer>;
  /** The same as a dry run: nothing is stored. */
  tryCreate(manifest: Manifest): Promise<Answer>;
  /** Changes a stored object by a JSON merge patch. */
  patch(manifest: Manifest, change: object): Promise<Answer>;
};

const objectSchema = z.object({ spec: z.unknown(), status: z.unknown() });
const refusalSchema = z.object({ message: z.string() });

/** Starts one before the tests of the file and stops it after them. */
export function useCrdServer(): CrdServer {
  let plane: ControlPlane | undefined;
  let api: Api | undefined;

  beforeAll(async () => {
    plane = await startControlPlane();
    await plane.installCrds('crds');
    await plane.createNamespace('tenant');
    api = await Api.from(await plane.kubeconfigFor('admin'));
  });
  afterAll(() => plane?.stop());

  const send = async (method: string, path: string, body: object, contentType?: string): Promise<Answer> => {
    if (api === undefined) throw new Error('the server runs only while the tests do');
    const answer = await api.request(method, path, body, contentType);
    if (answer.status >= 400) return { ok: false, message: refusalSchema.parse(answer.body).message };
    const { spec, status } = objectSchema.parse(answer.body);
    return { ok: true, spec, status };
  };

  return {
    get plane() {
      if (plane === undefined) throw new Error('the server runs only while the tests do');
      return plane;
    },
    create: (manifest) => send('POST', `${collection(manifest)}?fieldValidation=Strict`, manifest),
    tryCreate: (manifest) =>
      send('POST', `${collection(manifest)}?fieldValidation=Strict&dryRun=All`, manifest),
    patch: (manifest, change) => {
      const path = `${collection(manifest)}/${manifest.metadata.name}?fieldValidation=Strict`;
      return send('PATCH', path, change, 'application/merge-patch+json');
    },
  };
}

function collection(manifest: Manifest): string {
  const plural = kinds.find(({ kind }) => kind === manifest.kind)?.plural;
  return `/apis/postern.dev/v1alpha1/namespaces/tenant/${plural}`;
}
