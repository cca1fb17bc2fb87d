import { expect, test } from 'vitest';
import { mtaStateOf } from '../../bundle/fixture.ts';
import type { RouteProbe } from '../../bundle/state.ts';
import type { PodObservation } from '../compile/model.ts';
import { worstProbes } from './route-probes.ts';

function pod(name: string, routeProbes: Record<string, RouteProbe>): PodObservation {
  return { name, mta: 'default', ready: true, state: { ok: true, value: mtaStateOf({ routeProbes }) } };
}

const up = (checkedAt: number): RouteProbe => ({
  reachable: true,
  reason: 'Connected',
  detail: '',
  checkedAt,
});
const down = (detail: string): RouteProbe => ({
  reachable: false,
  reason: 'ConnectFailed',
  detail,
  checkedAt: 1,
});

test('R1: a Route is as reachable as for the pod for which it is least', () => {
  const merged = worstProbes([
    pod('mta-2', { a: down('of 2'), b: up(5) }),
    { name: 'mta-3', mta: 'default', ready: false, state: { ok: false, problem: 'no answer' } },
    pod('mta-0', { a: up(9), b: up(7), c: down('of 0') }),
    pod('mta-1', { a: down('of 1') }),
  ]);
  expect(merged).toEqual({ a: down('of 1'), b: up(7), c: down('of 0') });
});
