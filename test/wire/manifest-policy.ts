import { compile } from '../../operator/compile/compile.ts';
import type { MtaPolicy } from '../../operator/compile/model.ts';
import { readScenario } from '../../operator/compile/testdata/scenario.ts';
import { render } from '../../operator/render/render.ts';

/** What manifests compile to for the MTA `default`. */
function policyOfManifests(manifests: string): MtaPolicy {
  const { snapshot } = readScenario(`title: ''\n---\n${manifests}`);
  const [policy] = compile(snapshot).mtas;
  if (policy === undefined) throw new Error('the manifests give no policy');
  return policy;
}

/** The hot files of manifests, for an MTA to load. @param manifests documents of YAML. */
export function filesOfManifests(manifests: string): Map<string, Uint8Array> {
  const { publicFiles, secretFiles } = render(policyOfManifests(manifests));
  return new Map([...publicFiles, ...secretFiles]);
}
