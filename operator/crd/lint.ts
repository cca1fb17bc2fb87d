import type { Structural } from './structural.ts';

/** Words that YAML 1.1 reads as a boolean: as an enum value they would need quotes that nobody writes. */
const yamlBooleans = new Set(['y', 'n', 'yes', 'no', 'on', 'off', 'true', 'false']);

/** Functions that every supported server (Kubernetes 1.31 and later) knows. */
const celFunctions = new Set([
  'has',
  'size',
  'matches',
  'contains',
  'endsWith',
  'startsWith',
  'all',
  'exists',
  'map',
  'filter',
  'sum',
  'bytes',
  'isIP',
  'isCIDR',
  'cidr',
  'ip',
  'prefixLength',
  'masked',
  'family',
]);

/**
 * House rules for schemas that a server would let pass, or refuse only after installation (CRD4, CRD6, CRD7, CRD10, CRD14).
 *
 * @returns one sentence per fault; empty if there is none
 */
export function lintSchema(node: Structural, path: string): string[] {
  // metav1.Condition is what Kubernetes publishes, not ours to bound otherwise.
  if (path.endsWith('.status.conditions[]')) return [];
  const faults: string[] = [];
  const fault = (text: string) => faults.push(`${path}: ${text}`);
  if (!node.description?.endsWith('.')) fault('must have a description that is a sentence');
  if (node.type === 'string') lintString(node, fault);
  if (node.type === 'integer' && node.enum === undefined) {
    if (node.minimum === undefined || node.maximum === undefined) fault('must have minimum and maximum');
  }
  if (node.type === 'array') {
    if (node.maxItems === undefined) fault('must have maxItems');
    if (node['x-kubernetes-list-type'] === undefined) fault('must have x-kubernetes-list-type');
    if (node.items === undefined) fault('must have items');
  }
  if (node.type === 'object' && node.properties === undefined) fault('must have properties');
  for (const rule of node['x-kubernetes-validations'] ?? []) lintRule(rule.rule, rule.message, fault);
  if (node.items !== undefined) faults.push(...lintSchema(node.items, `${path}[]`));
  for (const [name, field] of Object.entries(node.properties ?? {})) {
    if (!/^[a-z][A-Za-z0-9]*$/.test(name)) fault(`field ${name} must be camelCase`);
    faults.push(...lintSchema(field, `${path}.${name}`));
  }
  return faults;
}

function lintString(node: Structural, fault: (text: string) => void): void {
  if (node.maxLength === undefined && node.enum === undefined) fault('must have maxLength');
  if (node.format !== undefined)
    fault('must have a pattern instead of a format: the server takes [] for a date-time');
  for (const word of node.enum ?? []) {
    if (yamlBooleans.has(String(word).toLowerCase())) fault(`enum value ${word} is a boolean in YAML 1.1`);
  }
  for (const pattern of [node.pattern, node['x-postern-pattern']]) {
    if (pattern !== undefined && /\(\?[=!<]/.test(pattern))
      fault('must have a pattern that RE2 knows (no look-around)');
  }
}

function lintRule(rule: string, message: string, fault: (text: string) => void): void {
  if (!/^(must|may) /.test(message)) fault(`message must begin with the requirement (must, may): ${message}`);
  const code = rule.replace(/r?"[^"]*"|r?'[^']*'/g, '""');
  for (const [, name = ''] of code.matchAll(/([A-Za-z]+)\(/g)) {
    if (!celFunctions.has(name)) fault(`rule calls ${name}(), which is not in the list of known functions`);
  }
}
