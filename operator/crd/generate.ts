/**
 * `npm run generate` writes every file that is derived from operator/api; `--check` writes nothing, names the files that
 * differ, and ends with 1 if there are any.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { kinds } from '../api/index.ts';
import type { KindDefinition } from '../api/kind.ts';
import { mtaSettings } from '../api/mta-settings.ts';
import { admissionPolicies } from './admission-policy.ts';
import { argocdFiles } from './argocd.ts';
import { customResourceDefinition, kindSchema } from './crd.ts';
import { documentSchema, manifestSchema } from './json-schema.ts';
import { lintSchema } from './lint.ts';
import { clusterRules, externalDnsRules, leaderRules, namespaceRules } from './rbac.ts';
import { apiReference, conditionReference, generatedNote, settingsReference } from './reference.ts';
import { toStructural } from './structural.ts';

/** Folders that hold nothing but generated files: a file in them that nobody generates is a leftover. */
const ownFolders = ['crds', 'charts/postern-crds/templates', 'docs/schemas'];

/** Helm leaves a CRD where it is when the chart goes, for with it all its objects would go; Argo CD takes CRDs first. */
const chartAnnotations = { 'helm.sh/resource-policy': 'keep', 'argocd.argoproj.io/sync-wave': '-2' };

/**
 * All generated files.
 *
 * @returns contents by path, relative to the root of the repository
 * @throws Error with every fault, if a schema breaks a rule of the house
 */
export function generatedFiles(definitions: readonly KindDefinition[]): Map<string, string> {
  const documented = definitions.map((kind) => ({ kind, schema: kindSchema(kind) }));
  const settings = toStructural(mtaSettings, 'mtaSettings');
  const faults = [
    ...documented.flatMap(({ kind, schema }) => lintSchema(schema.spec, `${kind.kind}.spec`)),
    ...documented.flatMap(({ kind, schema }) => lintSchema(schema.status, `${kind.kind}.status`)),
    ...lintSchema(settings, 'mtaSettings'),
  ];
  if (faults.length > 0)
    throw new Error(`operator/api breaks the rules of operator/crd/lint.ts:\n${faults.join('\n')}`);

  const files = new Map<string, string>();
  for (const { kind, schema } of documented) {
    const crd = customResourceDefinition(kind, schema);
    files.set(`crds/${kind.plural}.postern.dev.yaml`, yamlFile(crd));
    const charted = { ...crd, metadata: { ...crd.metadata, annotations: chartAnnotations } };
    files.set(`charts/postern-crds/templates/${kind.plural}.yaml`, templateFile(charted));
    files.set(`docs/schemas/${kind.singular}.json`, jsonFile(manifestSchema(kind, schema)));
  }
  files.set('docs/schemas/mta-settings.json', jsonFile(documentSchema('Settings of an MTA', settings)));
  files.set('charts/postern/files/namespace-role.yaml', yamlFile({ rules: namespaceRules(definitions) }));
  files.set('charts/postern/files/cluster-role.yaml', yamlFile({ rules: clusterRules(definitions) }));
  files.set('charts/postern/files/external-dns-rules.yaml', yamlFile(externalDnsRules()));
  files.set('charts/postern/files/leader-role.yaml', yamlFile({ rules: leaderRules() }));
  files.set('charts/postern/files/admission-policies.yaml', yamlFile(admissionPolicies()));
  files.set('docs/reference/api.md', apiReference(documented));
  files.set('docs/reference/conditions.md', conditionReference(documented));
  files.set('docs/reference/mta-settings.md', settingsReference(settings));
  for (const [path, content] of argocdFiles(definitions)) files.set(path, content);
  return files;
}

/** Paths below `root` that differ from what would be generated, are missing, or are left over. */
export async function differingFiles(root: string, files: ReadonlyMap<string, string>): Promise<string[]> {
  const differing: string[] = [];
  for (const [path, content] of files) {
    const present = await readFile(join(root, path), 'utf8').catch(() => undefined);
    if (present !== content) differing.push(present === undefined ? `${path} (missing)` : path);
  }
  for (const folder of ownFolders) {
    const names = await readdir(join(root, folder)).catch(() => []);
    const leftovers = names.map((name) => `${folder}/${name}`).filter((path) => !files.has(path));
    differing.push(...leftovers.map((path) => `${path} (nothing generates it)`));
  }
  return differing;
}

async function main(root: string, check: boolean): Promise<number> {
  const files = generatedFiles(kinds);
  if (check) {
    const differing = await differingFiles(root, files);
    for (const path of differing) process.stderr.write(`differs: ${path}; run npm run generate\n`);
    return differing.length === 0 ? 0 : 1;
  }
  for (const [path, content] of files) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
  process.stdout.write(`${files.size} files generated\n`);
  return 0;
}

/** Quotes what a YAML 1.1 reader such as kubectl would not take for a string: YES, NO, times. */
function yamlFile(data: unknown): string {
  return `# ${generatedNote}\n${stringify(data, { compat: 'yaml-1.1', lineWidth: 0, aliasDuplicateObjects: false })}`;
}

/** A file that Helm reads as a template and is to leave as it is. */
function templateFile(data: unknown): string {
  const text = yamlFile(data);
  if (text.includes('{{'))
    throw new Error('a text of operator/api holds {{, which Helm would take for a template');
  return text;
}

function jsonFile(data: unknown): string {
  return `${JSON.stringify(data, undefined, 2)}\n`;
}

if (import.meta.main) {
  const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
  process.exitCode = await main(root, process.argv.includes('--check'));
}
