import { describe, expect, test } from 'vitest';
import type { Leg } from '../bundle/leg.ts';
import { HopMarker } from './hop-marks.ts';

const marker = new HopMarker('k'.repeat(43));
const now = 1_795_608_000;
const from = 'a@d.example';
const headers = [['Message-ID', '<1@d.example>']] as const;

const leg = (over: Partial<Leg> = {}): Leg => ({
  domain: 'd.example',
  recipient: 'b@d.example',
  hop: { kind: 'Route', route: 'filter' },
  purpose: 'Gateway',
  onFailure: 'Dsn',
  because: { kind: 'MailDomain', name: 'd', generation: 1 },
  ...over,
});

const marked = (over: Partial<Leg> = {}) => [...marker.marksFor(leg(over), headers, from, now), ...headers];

describe('G10, D8: marks of hops', () => {
  test('say which Route they have been at, for which recipient, and nothing that can be read', () => {
    const marks = marker.read(marked(), from, now);
    expect(marks?.hasVisited('filter', 'b@d.example')).toBe(true);
    expect(marks?.hasVisited('filter', 'B@D.example')).toBe(true);
    expect(marks?.hasVisited('other', 'b@d.example')).toBe(false);
    expect(marks?.hasVisited('filter', 'c@d.example')).toBe(false);
    expect(JSON.stringify(marker.marksFor(leg(), headers, from, now))).not.toMatch(/filter|d\.example/);
  });

  test('hold for 24 hours as Internal, and only on a leg to the gateway', () => {
    expect(marker.read(marked(), from, now + 86_399)?.isInternal('b@d.example')).toBe(true);
    expect(marker.read(marked(), from, now + 86_400)?.isInternal('b@d.example')).toBe(false);
    expect(marker.read(marked({ purpose: 'Routed' }), from, now)?.isInternal('b@d.example')).toBe(false);
  });

  test('are carried on, each once, and only those of our own', () => {
    const foreign = new HopMarker('f'.repeat(43)).marksFor(
      leg({ recipient: 'x@d.example' }),
      headers,
      from,
      now,
    );
    const again = marker.marksFor(
      leg({ hop: { kind: 'Route', route: 'other' }, purpose: 'Routed' }),
      [...marker.marksFor(leg(), headers, from, now), ...marked(), ...foreign],
      from,
      now,
    );
    expect(again.map(([name]) => name)).toEqual(['X-Postern-Hop', 'X-Postern-Hop']);
    const marks = marker.read([...again, ...headers], from, now);
    expect(['filter', 'other'].map((route) => marks?.hasVisited(route, 'b@d.example'))).toEqual([true, true]);
    expect(marks?.isInternal('b@d.example')).toBe(false);
  });

  test.each([
    ['another Message-ID', [...marker.marksFor(leg(), headers, from, now), ['Message-ID', '<2@d.example>']]],
    ['a second Message-ID', [...marked(), ['Message-ID', '<2@d.example>']]],
    ['no Message-ID', marker.marksFor(leg(), headers, from, now)],
  ] as const)('mean nothing on a message with %s', (_what, fields) => {
    const marks = marker.read(fields, from, now);
    expect([marks?.hasVisited('filter', 'b@d.example'), marks?.isInternal('b@d.example')]).toEqual([
      false,
      false,
    ]);
  });

  test('a message without marks costs nothing, and a mailbox gets none', () => {
    expect(marker.read(headers, from, now)).toBeUndefined();
    expect(marker.marksFor(leg({ hop: { kind: 'Maildir' } }), headers, from, now)).toEqual([]);
  });

  test('parts cannot be moved over their border', () => {
    const one = marker.marksFor(
      leg({ hop: { kind: 'Route', route: 'ab' }, recipient: 'c@d.example' }),
      headers,
      from,
      now,
    );
    const marks = marker.read([...one, ...headers], from, now);
    expect(marks?.hasVisited('a', 'bc@d.example')).toBe(false);
  });
});
