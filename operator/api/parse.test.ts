import { describe, expect, test } from 'vitest';
import { apiVersion, type Condition, parseObject, problemText } from './index.ts';

const raw = (change: object = {}) => ({
  apiVersion,
  kind: 'Route',
  metadata: { name: 'mailbox' },
  spec: { host: 'dovecot', port: 24, protocol: 'LMTP' },
  ...change,
});

const ready = {
  type: 'Ready',
  status: 'True',
  reason: 'Ready',
  message: '',
  lastTransitionTime: '2026-11-25T10:00:00Z',
} as const satisfies Condition;

const problems = (value: unknown) => {
  const result = parseObject('Route', value);
  return result.ok ? [] : result.problems.map(problemText);
};

describe('parseObject', () => {
  test('fills in every default, and hands on what Postern reads of the metadata', () => {
    const metadata = {
      name: 'mailbox',
      generation: 2,
      managedFields: [{}],
      labels: { a: 'b' },
      annotations: null,
    };
    const result = parseObject('Route', raw({ metadata }));
    expect(result).toEqual({
      ok: true,
      object: {
        apiVersion,
        kind: 'Route',
        metadata: { name: 'mailbox', namespace: 'default', generation: 2, labels: { a: 'b' } },
        spec: {
          host: 'dovecot',
          port: 24,
          protocol: 'LMTP',
          lookupMx: false,
          tls: { mode: 'Opportunistic', verify: 'None' },
          connection: { maxConcurrent: 10, timeoutSeconds: 300 },
        },
      },
    });
  });

  test('names every problem at once, with its path', () => {
    expect(problems(raw({ spec: { port: 0, tls: { mode: 'On' }, note: 5, extra: 1 } }))).toEqual([
      'spec.extra: unknown field "spec.extra"',
      'spec.host: Required value',
      'spec.port: should be greater than or equal to 1',
      'spec.tls.mode: Unsupported value: "On": supported values: "Disabled", "Opportunistic", "Required", "Implicit"',
      'spec.note: must be of type string: "integer"',
    ]);
  });

  test('tells the value that was found, unless it is a list or object', () => {
    const result = parseObject('Route', raw({ spec: { host: 'Dovecot', tls: [] } }));
    expect(result.ok ? [] : result.problems).toMatchObject([
      { path: 'spec.host', value: 'Dovecot' },
      { path: 'spec.tls' },
    ]);
    expect(result.ok ? [] : result.problems[1]).not.toHaveProperty('value');
  });

  test.each([null, undefined, 5, 'text', []])('refuses %j instead of an object', (value) => {
    expect(problems(value).length).toBeGreaterThan(0);
  });

  test('refuses another kind and another version', () => {
    expect(problems(raw({ kind: 'MailDomain' }))).toEqual([
      'kind: Unsupported value: "MailDomain": supported values: "Route"',
    ]);
    expect(problems(raw({ apiVersion: 'postern.dev/v1' }))).toEqual([
      'apiVersion: Unsupported value: "postern.dev/v1": supported values: "postern.dev/v1alpha1"',
    ]);
  });

  test.each(['__proto__', 'constructor', 'toString'])(
    'a field named %s is unknown, not JavaScript',
    (name) => {
      const spec: unknown = JSON.parse(`{"host": "dovecot", "${name}": {"port": 1}}`);
      expect(problems(raw({ spec }))).toEqual([`spec.${name}: unknown field "spec.${name}"`]);
    },
  );

  test.each([undefined, '', 'Mailbox', 'a/b', 'a'.repeat(254)])('refuses the object name %j', (name) => {
    expect(problems(raw({ metadata: { name } })).join()).toContain('metadata.name: ');
  });

  test('keeps a status as the operator wrote it', () => {
    const status = { observedGeneration: 1, conditions: [ready], usedByCount: 0 };
    expect(parseObject('Route', raw({ status }))).toMatchObject({ ok: true, object: { status } });
  });

  test('drops conditions of another version of the operator, and a status that cannot be read', () => {
    const foreign = { ...ready, type: 'Accepted', reason: 'SomethingNew' };
    expect(parseObject('Route', raw({ status: { conditions: [foreign, ready] } }))).toMatchObject({
      ok: true,
      object: { status: { conditions: [ready] } },
    });
    const unreadable = parseObject('Route', raw({ status: { conditions: 'none' } }));
    expect(unreadable.ok && unreadable.object).not.toHaveProperty('status');
  });

  test('parses a frozen object once', () => {
    const frozen = Object.freeze(raw());
    expect(parseObject('Route', frozen)).toBe(parseObject('Route', frozen));
    const open = raw();
    expect(parseObject('Route', open)).not.toBe(parseObject('Route', open));
  });

  test('does not change what it is given', () => {
    const given = raw({ spec: { host: 'dovecot', note: null } });
    const copy = structuredClone(given);
    parseObject('Route', given);
    expect(given).toEqual(copy);
  });
});
