import { expect, test } from 'vitest';
import type { RouteProbe } from '../../bundle/state.ts';
import { eventually } from '../../test/wire/eventually.ts';
import { route } from '../../test/wire/route.ts';
import type { RouteBook } from './route-book.ts';
import { type ProbeRoute, RouteProber } from './route-prober.ts';

function bookOf(names: readonly string[], port = 25): RouteBook {
  const routes = names.map((name) => route(name, port));
  return {
    routes: new Map(routes.map((one) => [one.name, one])),
    secrets: { routeAuth: {} },
    index: {
      routes: Object.fromEntries(routes.map((one) => [one.name, JSON.stringify(one)])),
      secretsRevision: '',
    },
  };
}

/** A prober whose probes end when the test says so. */
function harness(intervalMs: number) {
  const probes: { name: string; port: number; end: (reachable: boolean) => void }[] = [];
  const told: string[] = [];
  let time = 0;
  const probe: ProbeRoute = ({ name, port }) =>
    new Promise((resolve) => {
      const end = (reachable: boolean) =>
        resolve(
          reachable
            ? { reachable, reason: 'Connected', detail: '' }
            : { reachable, reason: 'ConnectFailed', detail: 'down' },
        );
      probes.push({ name, port, end });
    });
  const now = () => {
    time += 1;
    return time;
  };
  const changed = (name: string, { reason }: RouteProbe) => told.push(`${name} ${reason}`);
  const prober = new RouteProber({ probe, changed, now, random: () => 0, intervalMs });
  return { prober, probes, told };
}

const never = 1_000_000;

test('R1: new and changed Routes are tried at once, others are not; what is gone is forgotten', async () => {
  const { prober, probes } = harness(never);
  prober.follow(bookOf(['a', 'b']));
  expect(probes.map(({ name }) => name)).toEqual(['a', 'b']);
  for (const { end } of probes) end(true);
  await eventually(() => Object.keys(prober.results()).length === 2, 'both have answered');
  prober.follow(bookOf(['a', 'b', 'c']));
  expect(probes.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  prober.follow(bookOf(['a'], 26));
  expect(probes.at(-1)).toMatchObject({ name: 'a', port: 26 });
  expect(prober.results()).toEqual({});
  // The answer for a Route that is no longer there is not wanted any more.
  probes[2]?.end(true);
  probes[3]?.end(false);
  await eventually(() => Object.keys(prober.results()).length === 1, 'the changed Route has answered');
  expect(prober.results()).toMatchObject({
    a: { reachable: false, reason: 'ConnectFailed', detail: 'down' },
  });
  prober.stop();
});

test('R1: a Route is tried again and again, and a change of its answer is told once', async () => {
  const { prober, probes, told } = harness(1);
  prober.follow(bookOf(['a']));
  for (const [position, reachable] of [true, true, false, false, true].entries()) {
    await eventually(() => probes.length === position + 1, `probe ${position} has begun`);
    probes[position]?.end(reachable);
  }
  await eventually(() => probes.length === 6, 'the next probe has begun');
  expect(told).toEqual(['a Connected', 'a ConnectFailed', 'a Connected']);
  prober.stop();
});

test('R1: ten Routes are tried at a time', async () => {
  const { prober, probes } = harness(never);
  prober.follow(bookOf(Array.from({ length: 12 }, (_, i) => `route-${i}`)));
  expect(probes).toHaveLength(10);
  probes[3]?.end(false);
  await eventually(() => probes.length === 11, 'the eleventh has its turn');
  prober.stop();
});
