import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type MtaSettings, parseMtaSettings } from '../api/mta-settings.ts';
import { renderHarakaFiles } from './haraka-files.ts';

interface HarakaConfig {
  module_config(path: string): HarakaConfig;
  get(name: string, options?: unknown): unknown;
}
// The copy that Haraka itself reads with.
const fromHaraka = createRequire(createRequire(import.meta.url).resolve('haraka/package.json'));
const harakaConfig: HarakaConfig = fromHaraka('haraka-config');

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-render-'));
  await mkdir(join(directory, 'config'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function settings(over: Partial<MtaSettings> = {}): MtaSettings {
  const parsed = parseMtaSettings('heloName: mx.example.com');
  if (!parsed.ok) throw new Error('the test has wrong settings');
  return { ...parsed.settings, ...over };
}

const name = { namespace: 'mail', mta: 'default' };

/** What Haraka's own reader makes of the files. */
async function readBack(
  files: ReadonlyMap<string, string>,
): Promise<(file: string, options?: unknown) => unknown> {
  for (const [file, text] of files) await writeFile(join(directory, 'config', file), text);
  const config = harakaConfig.module_config(directory);
  return (file, options) => config.get(file, options);
}

test('every rendered file reads back through haraka-config as it was meant', async () => {
  const read = await readBack(renderHarakaFiles(settings(), name));
  const booleans = [
    '-main.smtputf8',
    '+headers.add_received',
    '+headers.show_version',
    '+headers.clean_auth_results',
    '+haproxy.enabled',
    '-main.postel',
    '-main.strict_rfc1869',
  ];
  expect(read('connection.ini', { booleans })).toEqual({
    main: { strict_rfc1869: false, postel: false, smtputf8: false },
    max: { bytes: 0, line_length: 2048, data_line_length: 65_536, mime_parts: 1000 },
    headers: {
      add_received: false,
      show_version: false,
      clean_auth_results: false,
      max_lines: 1000,
      max_received: 100,
    },
    message: { helo: 'at your service', close: 'closing connection' },
    uuid: { banner_chars: 0, deny_chars: 0 },
    haproxy: { enabled: true },
  });
  expect(read('outbound.ini', { booleans: ['-always_split', '+enable_tls', '-local_mx_ok'] })).toMatchObject({
    main: { always_split: true, enable_tls: true, local_mx_ok: false, received_header: 'disabled' },
  });
  expect(read('tls.ini')).toMatchObject({
    main: { dhparam: 'ffdhe2048.pem', minVersion: 'TLSv1.2' },
    outbound: { minVersion: 'TLSv1.2' },
    redis: { disable_for_failed_hosts: 'false' },
  });
  expect(read('log.ini')).toEqual({ main: { level: 'warn', timestamps: 'false', format: 'json' } });
  expect(read('me')).toBe('mx.example.com');
  expect(read('plugin_timeout')).toBe(120);
  expect(read('mta.json')).toEqual({
    ...name,
    heloName: 'mx.example.com',
    postmaster: 'postmaster@mx.example.com',
    maxMessageBytes: 104_857_600,
    proxyProtocolFrom: [],
    perDestinationConcurrency: 20,
    resolvers: [],
    internalMxRanges: [],
  });
});

test('R6: the retry schedule is 5m, 10m, 15m, 3 x 30m, 4 x 1h, 4 x 2h, then every 4h for 5 days', async () => {
  const read = await readBack(renderHarakaFiles(settings(), name));
  const ini = read('outbound.ini');
  const intervals =
    JSON.stringify(ini)
      .match(/(\d+)s/g)
      ?.map((text) => Number.parseInt(text, 10)) ?? [];
  expect(intervals.slice(0, 15)).toEqual([
    300, 600, 900, 1800, 1800, 1800, 3600, 3600, 3600, 3600, 7200, 7200, 7200, 7200, 14_400,
  ]);
  expect(new Set(intervals.slice(15))).toEqual(new Set([14_400]));
  const age = intervals.reduce((sum, seconds) => sum + seconds, 0);
  expect(age).toBeGreaterThanOrEqual(432_000);
  expect(age - 14_400).toBeLessThan(432_000);
});

const hostile = [
  'a\n[main]\nlevel=debug',
  'a\r[main]',
  'a\r\nb',
  '[outbound]',
  '__proto__',
  'a\\',
  'a # b',
  'a;b',
  'a=b',
  ' a',
  '$(id)',
  '',
];

test.each(hostile)('a name %j that an ini file would give a meaning to is refused', (heloName) => {
  expect(() => renderHarakaFiles(settings({ heloName }), name)).toThrow(/heloName: .* is no host name/);
});

test.each(hostile)('the text %j in a setting that travels as JSON stays data', async (text) => {
  const clean = renderHarakaFiles(settings(), name);
  const files = renderHarakaFiles(settings({ proxyProtocolFrom: [text] }), { namespace: text, mta: text });
  const read = await readBack(files);
  expect(read('mta.json')).toMatchObject({ namespace: text, mta: text, proxyProtocolFrom: [text] });
  for (const file of clean.keys()) if (file !== 'mta.json') expect(files.get(file)).toBe(clean.get(file));
});

test('a number that is none is refused', () => {
  for (const seconds of [Number.NaN, Number.POSITIVE_INFINITY, 5.5]) {
    expect(() => renderHarakaFiles(settings({ retryIntervalsSeconds: [seconds] }), name)).toThrow(
      /retryIntervalsSeconds/,
    );
  }
});

test('equal settings give equal bytes', () => {
  expect([...renderHarakaFiles(settings(), name)]).toEqual([...renderHarakaFiles(settings(), { ...name })]);
});
