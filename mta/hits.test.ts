import { expect, test } from 'vitest';
import { Hits } from './hits.ts';

const by = (name: string, entry: string) => ({ kind: 'IpAccessList', name, generation: 1, entry }) as const;

test('B5: entries that mail has met are listed, the most recent first', () => {
  const hits = new Hits();
  hits.note(by('a', '192.0.2.1'), 1);
  hits.note(by('a', '192.0.2.2'), 2);
  hits.note(by('a', '192.0.2.1'), 3);
  hits.note({ kind: 'Postern', name: 'relay', generation: 0, entry: 'relaying' }, 4);
  hits.note(undefined, 5);
  expect(hits.all()).toEqual([
    { list: 'a', entry: '192.0.2.1', hits: 2, lastHit: 3 },
    { list: 'a', entry: '192.0.2.2', hits: 1, lastHit: 2 },
  ]);
});

test('the numbers that statuses are made from change every ten minutes at most', () => {
  const hits = new Hits();
  expect(hits.summarize(1000)).toEqual({});
  hits.note(by('a', '192.0.2.1'), 1000);
  expect(hits.summarize(1001)).toEqual({ a: 1 });
  hits.note(by('a', '192.0.2.2'), 1002);
  expect(hits.summarize(1600)).toEqual({ a: 1 });
  expect(hits.summarize(1601)).toEqual({ a: 2 });
  hits.note(by('a', '192.0.2.3'), 1602);
  expect(hits.summarize(2200)).toEqual({ a: 2 });
});

test('X25: a clock that is set does not make the numbers stay for longer', () => {
  const hits = new Hits();
  hits.note(by('a', '192.0.2.1'), 10_000);
  expect(hits.summarize(10_000)).toEqual({ a: 1 });
  hits.note(by('a', '192.0.2.2'), 10_000);
  expect(hits.summarize(2_800)).toEqual({ a: 2 });
});

test('a list that is gone is forgotten', () => {
  const hits = new Hits();
  hits.note(by('a', '192.0.2.1'), 1);
  hits.note(by('b', '192.0.2.1'), 1);
  hits.keep(new Set(['b']));
  expect(hits.all().map(({ list }) => list)).toEqual(['b']);
});
