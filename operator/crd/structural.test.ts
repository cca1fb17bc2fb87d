import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { flag, integer, object, oneOf, text } from '../api/field.ts';
import { listOf } from '../api/list.ts';
import { immutable, matches, withRules } from '../api/rule.ts';
import { forServer, toStructural } from './structural.ts';

describe('zod to structural schema', () => {
  test('writes the default of an object in full, however deep, because the server checks rules before it fills in', () => {
    const schema = object('Outer.', {
      inner: object('Inner.', {
        mode: oneOf('Mode.', ['A', 'B']).default('A'),
        deep: object('Deep.', {
          on: flag('On.').default(true),
          free: text('Free.', { max: 1 }).optional(),
        }).prefault({}),
      }).prefault({}),
    });
    expect(toStructural(schema, 'test').properties?.['inner']?.default).toEqual({
      mode: 'A',
      deep: { on: true },
    });
  });

  test('keeps the rules inside a default, and joins them with those outside', () => {
    const field = withRules(text('Name.', { max: 5 }), [matches('^a', 'must begin with a')]).default('a');
    const schema = toStructural(object('Outer.', { name: immutable(field) }), 'test');
    expect(schema.properties?.['name']?.['x-kubernetes-validations']).toEqual([
      { rule: 'self.matches(r"^a")', message: 'must begin with a' },
      {
        rule: 'self == oldSelf',
        message: 'may not be changed: create a new object instead',
        reason: 'FieldValueForbidden',
      },
    ]);
  });

  test('names the field of a rule on its parent', () => {
    const schema = withRules(object('Outer.', { port: integer('Port.', { min: 1, max: 9 }) }), [
      { cel: 'self.port > 1', message: 'must be over 1', holds: ({ port }) => port > 1, field: 'port' },
    ]);
    expect(toStructural(schema, 'test')['x-kubernetes-validations']).toEqual([
      { rule: 'self.port > 1', message: 'must be over 1', fieldPath: '.port' },
    ]);
    expect(schema.safeParse({ port: 1 }).error?.issues).toMatchObject([
      { path: ['port'], message: 'must be over 1' },
    ]);
  });

  test('calls a choice of whole numbers an integer', () => {
    const schema = object('Outer.', { bits: z.literal([1024, 2048]).meta({ description: 'Bits.' }) });
    expect(toStructural(schema, 'test').properties?.['bits']).toEqual({
      type: 'integer',
      description: 'Bits.',
      enum: [1024, 2048],
    });
  });

  test('keeps what is meant for editors away from the server', () => {
    const name = withRules(text('Name.', { max: 5 }), [matches('^a', 'must begin with a')]);
    const schema = toStructural(object('Outer.', { names: listOf('Names.', name, { max: 2 }) }), 'test');
    expect(JSON.stringify(schema)).toContain('x-postern-pattern');
    expect(JSON.stringify(forServer(schema))).not.toContain('x-postern');
  });

  test.each([
    ['a union', z.union([z.string(), z.int()]), 'anyOf'],
    ['a record', z.record(z.string(), z.string()), 'additionalProperties'],
    ['a closed object', z.strictObject({}), 'additionalProperties'],
  ])('refuses %s by its path', (_, field, word) => {
    const schema = object('Outer.', { field });
    expect(() => toStructural(schema, 'Kind.spec')).toThrow(`Kind.spec.field`);
    expect(() => toStructural(schema, 'Kind.spec')).toThrow(word);
  });
});
