import { apiVersion, type KindDefinition } from '../api/kind.ts';
import type { KindSchema } from './crd.ts';
import type { Structural } from './structural.ts';

const dialect = 'http://json-schema.org/draft-07/schema#';

/** A JSON Schema for manifests of one kind, for editors and for kubeconform; rules that need CEL are told in descriptions. */
export function manifestSchema(kind: KindDefinition, { spec }: KindSchema) {
  return {
    $schema: dialect,
    title: kind.kind,
    description: kind.description,
    type: 'object',
    required: ['apiVersion', 'kind', 'metadata', 'spec'],
    properties: {
      apiVersion: { const: apiVersion },
      kind: { const: kind.kind },
      metadata: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } },
      spec: forEditor(spec),
      status: { type: 'object' },
    },
    additionalProperties: false,
  };
}

/** A JSON Schema for one document that is no Kubernetes object. */
export function documentSchema(title: string, schema: Structural) {
  return { $schema: dialect, title, ...forEditor(schema) };
}

/** Server extensions become what JSON Schema knows: unique items, patterns, closed objects, sentences. */
function forEditor(node: Structural): Record<string, unknown> {
  const {
    'x-kubernetes-list-type': listType,
    'x-kubernetes-list-map-keys': _keys,
    'x-kubernetes-validations': rules = [],
    'x-postern-pattern': pattern,
    'x-postern-format': format,
    properties,
    items,
    ...rest
  } = node;
  // Immutability is nothing an editor can check.
  const sentences = rules
    .filter(({ rule }) => !rule.includes('oldSelf'))
    .map(({ fieldPath, message }) =>
      fieldPath === undefined ? message : `${fieldPath.slice(1)} ${message}`,
    );
  return {
    ...rest,
    description:
      sentences.length === 0 ? node.description : `${node.description} Rules: ${sentences.join('; ')}.`,
    ...(pattern !== undefined && { pattern }),
    ...(format !== undefined && { format }),
    ...(listType === 'set' && { uniqueItems: true }),
    ...(items && { items: forEditor(items) }),
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, field]) => [name, forEditor(field)]),
      ),
      additionalProperties: false,
    }),
  };
}
