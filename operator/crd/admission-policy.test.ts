import { V1StatefulSetSpec } from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import { kinds } from '../api/index.ts';
import { statefulSetFields } from './admission-guard.ts';
import { admissionPolicies, operatorUsername } from './admission-policy.ts';
import { kindSchema } from './crd.ts';
import type { Structural } from './structural.ts';

// What they refuse and warn of is seen at a real API server: test/charts/admission.test.ts, guard.test.ts.
const policies = Object.entries(admissionPolicies());

/** Names of the fields of a schema that name a Route, such as `sendCopyTo`. */
function routeFields(schema: Structural): string[] {
  const own = Object.entries(schema.properties ?? {}).flatMap(([field, child]) =>
    child.properties?.['name']?.description === 'Name of the Route in the same namespace.'
      ? [field]
      : routeFields(child),
  );
  return schema.items === undefined ? own : [...own, ...routeFields(schema.items)];
}

describe('admission policies', () => {
  test('R3: every field that names a Route is looked at', () => {
    for (const kind of kinds) {
      const looking = policies
        .filter(
          ([name, { policy }]) => name.startsWith('route-in-use') && policy.paramKind?.kind === kind.kind,
        )
        .map(([, { policy }]) => JSON.stringify(policy.variables));
      for (const field of routeFields(kindSchema(kind).spec)) {
        expect(
          looking.some((text) => text.includes(`${field}.name`)),
          `${kind.kind} ${field}`,
        ).toBe(true);
      }
    }
    expect(kinds.flatMap((kind) => routeFields(kindSchema(kind).spec))).toHaveLength(5);
  });

  test('the guard compares every field of a StatefulSet that Kubernetes knows', () => {
    const known = V1StatefulSetSpec.getAttributeTypeMap().map(({ baseName }) => baseName);
    expect([...statefulSetFields, 'template'].sort()).toEqual(known.sort());
  });

  test('a warning never stands in the way, and a refusal is never left out', () => {
    for (const [name, { policy, binding }] of policies) {
      const warns = binding.validationActions[0] === 'Warn';
      expect(policy.failurePolicy, name).toBe(warns ? 'Ignore' : 'Fail');
    }
  });

  test('only the guards are about the operator, and each says for whom it is', () => {
    for (const [name, { policy }] of policies) {
      const conditions = policy.matchConditions?.map(({ expression }) => expression) ?? [];
      const expected = name.startsWith('operator-')
        ? [`request.userInfo.username == '${operatorUsername}'`]
        : [];
      expect(conditions, name).toEqual(expected);
    }
  });

  test('names leave room for the namespace and the release in front of them', () => {
    for (const [name] of policies) expect(name).toMatch(/^[a-z][a-z-]{2,40}[a-z]$/);
  });
});
