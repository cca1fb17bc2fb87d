import { describe, expect, test } from 'vitest';
import { lintSchema } from './lint.ts';
import type { Structural } from './structural.ts';

const name: Structural = { type: 'string', description: 'Name.', maxLength: 10 };

describe('rules of the house for schemas', () => {
  test('a bounded, described schema passes', () => {
    const list: Structural = {
      type: 'array',
      description: 'Names.',
      maxItems: 3,
      items: name,
      'x-kubernetes-list-type': 'set',
    };
    expect(lintSchema({ type: 'object', description: 'All.', properties: { name, list } }, 'x')).toEqual([]);
  });

  test.each<[string, Structural, string]>([
    ['CRD10: no description', { ...name, description: '' }, 'must have a description'],
    ['CRD4: string without maxLength', { type: 'string', description: 'Name.' }, 'must have maxLength'],
    [
      'CRD4: integer without bounds',
      { type: 'integer', description: 'Count.', minimum: 0 },
      'minimum and maximum',
    ],
    ['CRD4: list without bounds', { type: 'array', description: 'List.', items: name }, 'must have maxItems'],
    [
      'CRD4: list without list type',
      { type: 'array', description: 'List.', items: name },
      'x-kubernetes-list-type',
    ],
    ['CRD1: object without fields', { type: 'object', description: 'Any.' }, 'must have properties'],
    [
      'CRD14: YAML boolean',
      { type: 'string', description: 'Mode.', enum: ['Off'] },
      'is a boolean in YAML 1.1',
    ],
    [
      'CRD14: field name',
      { type: 'object', description: 'All.', properties: { Name: name } },
      'must be camelCase',
    ],
    ['look-ahead', { ...name, pattern: '^(?=a)' }, 'RE2'],
    ['format', { ...name, format: 'date-time' }, 'must have a pattern instead of a format'],
    [
      'CRD6: message without requirement',
      { ...name, 'x-kubernetes-validations': [{ rule: 'self != ""', message: 'is empty' }] },
      'message must begin with the requirement',
    ],
    [
      'CRD7: function of a newer server',
      { ...name, 'x-kubernetes-validations': [{ rule: 'semver(self)', message: 'must be a version' }] },
      'rule calls semver()',
    ],
  ])('%s', (_, schema, fault) => {
    expect(lintSchema(schema, 'Kind.spec.field').join('\n')).toContain(fault);
  });

  test('names the path of a fault deep inside', () => {
    const list: Structural = {
      type: 'array',
      description: 'List.',
      items: { type: 'string', description: 'Name.' },
    };
    expect(lintSchema({ type: 'object', description: 'All.', properties: { list } }, 'Kind.spec')).toContain(
      'Kind.spec.list[]: must have maxLength',
    );
  });
});
