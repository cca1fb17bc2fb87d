import { stringify } from 'yaml';
import type { KindDefinition } from '../api/kind.ts';
import type { ConditionType, ReasonOf } from '../api/reasons.ts';
import { generatedNote } from './reference.ts';

/** Where Argo CD keeps what it knows of the resources of others, in its own repository and here. */
const folder = 'argocd/resource_customizations/postern.dev';

/** What passes by itself. */
const waits = ['Pending', 'PartiallyProgrammed', 'NoReadyPods'] as const satisfies ReasonOf<'Ready'>[];
/** Until the deadline of 72 hours somebody is expected to publish the record; a sync is not to fail for it. */
const overdue = ['PropagationTimeout', 'RecordLost'] as const satisfies ReasonOf<'Published'>[];
const held = 'Paused' satisfies ReasonOf<'Ready'>;
const [ready, published, pending] = [
  'Ready' satisfies ConditionType,
  'Published' satisfies ConditionType,
  'Pending' satisfies ReasonOf<'Published'>,
];

/**
 * Health checks and actions of the kinds for Argo CD, in the layout of its own repository, and the same checks as a part of its
 * ConfigMap argocd-cm.
 * @returns contents by path. The Lua has no libraries but base, table and a small os: so runs Argo CD.
 */
export function argocdFiles(definitions: readonly KindDefinition[]): Map<string, string> {
  const files = new Map<string, string>();
  const data: Record<string, string> = {};
  for (const definition of definitions) {
    const { kind } = definition;
    const actions = actionsOf(definition);
    const discovery = discoveryLua(definition);
    files.set(`${folder}/${kind}/health.lua`, healthLua(definition));
    files.set(`${folder}/${kind}/actions/discovery.lua`, discovery);
    for (const [name, lua] of Object.entries(actions))
      files.set(`${folder}/${kind}/actions/${name}/action.lua`, lua);
    data[`resource.customizations.health.postern.dev_${kind}`] = healthLua(definition);
    data[`resource.customizations.actions.postern.dev_${kind}`] = stringify({
      'discovery.lua': discovery,
      definitions: Object.entries(actions).map(([name, lua]) => ({ name, 'action.lua': lua })),
    });
  }
  const patch = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'argocd-cm', namespace: 'argocd' },
    data,
  };
  const use = 'kubectl patch configmap argocd-cm --namespace argocd --patch-file argocd/argocd-cm.yaml';
  files.set('argocd/argocd-cm.yaml', `# ${generatedNote}\n# ${use}\n${stringify(patch, { lineWidth: 0 })}`);
  return files;
}

function healthLua(definition: KindDefinition): string {
  return lua(`
${readers}
if obj.status == nil or obj.status.conditions == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "The operator has not read this generation yet" }
end
local ready = conditionOf("${ready}")
if ready == nil then
  return { status = "Progressing", message = "The operator has not judged this generation yet" }
end
if ready.status ~= "True" then
  return { status = statusOf(ready.reason), message = describe(ready) }
end
${hasRecord(definition) ? recordLua : ''}return { status = "Healthy", message = ready.message }
`);
}

const readers = `
local waits = { ${waits.map((reason) => `${reason} = true`).join(', ')} }
local function conditionOf(type)
  for _, condition in ipairs(obj.status.conditions) do
    if condition.type == type then
      return condition
    end
  end
end
local function describe(condition)
  return condition.reason .. ": " .. (condition.message or "")
end
local function statusOf(reason)
  if waits[reason] then
    return "Progressing"
  end
  if reason == "${held}" then
    return "Suspended"
  end
  return "Degraded"
end
`.trim();

const recordLua = `
local overdue = { ${overdue.map((reason) => `${reason} = true`).join(', ')} }
local published = conditionOf("${published}")
if published ~= nil and published.status ~= "True" and obj.spec.state ~= "Retired" then
  if published.reason == "${pending}" then
    return { status = "Progressing", message = describe(published) }
  end
  if overdue[published.reason] then
    return { status = "Degraded", message = describe(published) }
  end
  return { status = "Suspended", message = describe(published) }
end
`.trimStart();

function discoveryLua(definition: KindDefinition): string {
  return lua(`
local annotations = obj.metadata.annotations or {}
local paused = annotations["postern.dev/paused"] == "true"
local actions = {}
actions["pause"] = { ["disabled"] = paused }
actions["resume"] = { ["disabled"] = not paused }
${hasRecord(definition) ? `actions["verify-dns"] = { ["disabled"] = paused }\n` : ''}return actions
`);
}

function actionsOf(definition: KindDefinition): Readonly<Record<string, string>> {
  const pause = lua(`
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["postern.dev/paused"] = "true"
return obj
`);
  const resume = lua(`
if obj.metadata.annotations ~= nil then
  obj.metadata.annotations["postern.dev/paused"] = nil
end
return obj
`);
  // Every state of an object has a version of its own, so each press of the button is a new request.
  const verify = lua(`
if obj.spec.verification == nil then
  obj.spec.verification = {}
end
obj.spec.verification.requestId = "argocd-" .. obj.metadata.resourceVersion
return obj
`);
  return { pause, resume, ...(hasRecord(definition) && { 'verify-dns': verify }) };
}

function hasRecord({ conditions }: KindDefinition): boolean {
  return conditions.some((type) => type === published);
}

function lua(body: string): string {
  return `-- ${generatedNote}\n${body.trim()}\n`;
}
