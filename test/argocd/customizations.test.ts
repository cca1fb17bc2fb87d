import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { kinds } from '../../operator/api/index.ts';
import { runLua } from './run-lua.ts';

const root = join(import.meta.dirname, '../..');
const scriptOf = (kind: string, name: string) =>
  join(root, 'argocd/resource_customizations/postern.dev', kind, name);

/** An object as the API server gives it. @param conditions `Type=Status Reason: message`. */
function objectOf(
  conditions: readonly string[],
  more: { spec?: object; observedGeneration?: number; annotations?: object } = {},
) {
  const { spec = {}, observedGeneration = 2, annotations } = more;
  return {
    metadata: { name: 'x', namespace: 'mail', generation: 2, resourceVersion: '4711', annotations },
    spec,
    status: {
      observedGeneration,
      conditions: conditions.map((text) => {
        const [, type, status, reason, message = ''] = /^(\w+)=(\w+) (\w+)(?:: (.*))?$/s.exec(text) ?? [];
        return { type, status, reason, message: message.replaceAll('\n', ' ') };
      }),
    },
  };
}

const healthOf = (kind: string, object: unknown) => runLua(scriptOf(kind, 'health.lua'), object);

describe('CH15: health of the kinds for Argo CD', () => {
  test.each(kinds)('$kind: it is healthy when it is Ready, and waits for the operator', async ({ kind }) => {
    const ready = objectOf(['Accepted=True Accepted', 'Ready=True Ready: all is well'], {});
    expect(await healthOf(kind, ready)).toEqual({ status: 'Healthy', message: 'all is well' });
    const { status: _status, ...fresh } = ready;
    for (const waiting of [fresh, objectOf(['Ready=True Ready'], { observedGeneration: 1 }), objectOf([])]) {
      expect(await healthOf(kind, waiting)).toMatchObject({ status: 'Progressing' });
    }
  });

  test.each([
    ['Ready=False Invalid: spec.port is 0', 'Degraded', 'Invalid: spec.port is 0'],
    ['Ready=False RouteNotFound: Route x', 'Degraded', 'RouteNotFound: Route x'],
    ['Ready=False LoadFailed: pod mta-0', 'Degraded', 'LoadFailed: pod mta-0'],
    [
      'Ready=False PartiallyProgrammed: mta-1 is behind',
      'Progressing',
      'PartiallyProgrammed: mta-1 is behind',
    ],
    ['Ready=Unknown NoReadyPods: none', 'Progressing', 'NoReadyPods: none'],
    ['Ready=False Paused: held', 'Suspended', 'Paused: held'],
  ])('%s is %s', async (condition, status, message) => {
    expect(await healthOf('MailDomain', objectOf([condition]))).toEqual({ status, message });
  });

  test.each([
    ['AwaitingRequest', 'Active', 'Suspended'],
    ['RecordNotFound', 'Active', 'Suspended'],
    ['PartiallyPropagated', 'Standby', 'Suspended'],
    ['Pending', 'Active', 'Progressing'],
    ['PropagationTimeout', 'Active', 'Degraded'],
    ['RecordLost', 'Active', 'Degraded'],
    ['RecordNotFound', 'Retired', 'Healthy'],
  ])(
    'a DkimKey that is Ready, with a record that is %s, in state %s, is %s',
    async (reason, state, status) => {
      const key = objectOf(['Ready=True Ready', `Published=False ${reason}: publish TXT x`], {
        spec: { state },
      });
      expect(await healthOf('DkimKey', key)).toMatchObject({ status });
    },
  );

  test('every status that the compiler is known to write has a health', async () => {
    const golden = z.object({
      statuses: z.record(
        z.string(),
        z.object({ conditions: z.array(z.string()), observedGeneration: z.number() }),
      ),
    });
    const seen = new Set<string>();
    for (const file of globSync('operator/compile/testdata/*.out.yaml', { cwd: root })) {
      const { statuses } = golden.parse(parse(readFileSync(join(root, file), 'utf8')));
      for (const [name, { conditions }] of Object.entries(statuses)) {
        const [kind = ''] = name.split('/');
        const health = z
          .object({ status: z.string(), message: z.string() })
          .parse(await healthOf(kind, objectOf(conditions)));
        const isReady = conditions.some((text) => text.startsWith('Ready=True'));
        expect(['Healthy', 'Progressing', 'Suspended', 'Degraded'], `${file} ${name}`).toContain(
          health.status,
        );
        if (kind !== 'DkimKey') expect(health.status === 'Healthy', `${file} ${name}`).toBe(isReady);
        seen.add(`${kind} ${health.status}`);
      }
    }
    expect(seen.size).toBeGreaterThan(kinds.length);
  });
});

describe('CH15: actions', () => {
  const discover = (kind: string, annotations?: object) =>
    runLua(scriptOf(kind, 'actions/discovery.lua'), objectOf([], { ...(annotations && { annotations }) }));
  const act = (kind: string, action: string, annotations?: object) =>
    runLua(
      scriptOf(kind, `actions/${action}/action.lua`),
      objectOf([], { ...(annotations && { annotations }) }),
    );

  test.each(kinds)('G16: $kind is paused and resumed by its annotation', async ({ kind }) => {
    expect(await discover(kind)).toMatchObject({ pause: { disabled: false }, resume: { disabled: true } });
    const paused = { 'postern.dev/paused': 'true' };
    expect(await act(kind, 'pause')).toMatchObject({ metadata: { annotations: paused } });
    expect(await discover(kind, paused)).toMatchObject({
      pause: { disabled: true },
      resume: { disabled: false },
    });
    expect(await act(kind, 'resume', { ...paused, other: 'stays' })).toMatchObject({
      metadata: { annotations: { other: 'stays' } },
    });
    expect(await act(kind, 'resume', paused)).not.toMatchObject({ metadata: { annotations: paused } });
  });

  test('K7: a DkimKey is looked for in DNS at once, by a request that was never made before', async () => {
    expect(await discover('DkimKey')).toMatchObject({ 'verify-dns': { disabled: false } });
    expect(await act('DkimKey', 'verify-dns')).toMatchObject({
      spec: { verification: { requestId: 'argocd-4711' } },
    });
    expect(await discover('Route')).not.toHaveProperty('verify-dns');
  });
});

test('CH15: the part of argocd-cm holds the same scripts', () => {
  const { data } = z
    .object({ data: z.record(z.string(), z.string()) })
    .parse(parse(readFileSync(join(root, 'argocd/argocd-cm.yaml'), 'utf8')));
  for (const { kind } of kinds) {
    const health = readFileSync(scriptOf(kind, 'health.lua'), 'utf8');
    expect(data[`resource.customizations.health.postern.dev_${kind}`]).toBe(health);
    const actions = z
      .object({ definitions: z.array(z.object({ name: z.string(), 'action.lua': z.string() })) })
      .parse(parse(data[`resource.customizations.actions.postern.dev_${kind}`] ?? ''));
    for (const { name, 'action.lua': lua } of actions.definitions)
      expect(lua).toBe(readFileSync(scriptOf(kind, `actions/${name}/action.lua`), 'utf8'));
  }
});
