import type { Column, KindDefinition } from '../api/kind.ts';
import { group, version } from '../api/kind.ts';
import { defaultConditions } from '../api/status.ts';
import { forServer, type Structural, toStructural } from './structural.ts';

/** The whole schema of a kind: spec and status. */
export type KindSchema = { spec: Structural; status: Structural };

/** Derives both halves of a kind's schema. */
export function kindSchema(kind: KindDefinition): KindSchema {
  const status = toStructural(kind.status, `${kind.kind}.status`);
  return {
    spec: toStructural(kind.spec, `${kind.kind}.spec`),
    status: { ...status, default: { conditions: defaultConditions } },
  };
}

/** The CustomResourceDefinition of a kind, as plain data. */
export function customResourceDefinition(kind: KindDefinition, schema: KindSchema) {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.singular,
        shortNames: [...kind.shortNames],
        categories: ['postern'],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: kind.columns.map(printerColumn),
          ...(kind.selectableFields.length > 0 && {
            selectableFields: kind.selectableFields.map((jsonPath) => ({ jsonPath })),
          }),
          schema: { openAPIV3Schema: objectSchema(kind, schema) },
        },
      ],
    },
  };
}

function objectSchema(kind: KindDefinition, { spec, status }: KindSchema) {
  return {
    type: 'object',
    description: kind.description,
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string', description: `Always ${group}/${version}.` },
      kind: { type: 'string', description: `Always ${kind.kind}.` },
      metadata: { type: 'object' },
      spec: forServer(spec),
      status: forServer(status),
    },
  };
}

function printerColumn({ wide, ...column }: Column) {
  return wide ? { ...column, priority: 1 } : column;
}
