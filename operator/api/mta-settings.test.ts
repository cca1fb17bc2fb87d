import { describe, expect, test } from 'vitest';
import { mtaConfigMapName, parseMtaSettings } from './mta-settings.ts';
import { problemText } from './problem.ts';

const problems = (document: string) => {
  const result = parseMtaSettings(document);
  return result.ok ? [] : result.problems.map(problemText);
};

describe('settings of an MTA', () => {
  test('R6: only heloName is needed; the retry schedule is that of the reference', () => {
    const result = parseMtaSettings('heloName: mx.example.com\n');
    expect(result.ok && result.settings).toMatchObject({
      heloName: 'mx.example.com',
      queueLifetimeSeconds: 432_000,
      perDestinationConcurrency: 20,
      proxyProtocolFrom: [],
    });
    const minutes = result.ok && result.settings.retryIntervalsSeconds.map((seconds) => seconds / 60);
    expect(minutes).toEqual([5, 10, 15, 30, 30, 30, 60, 60, 60, 60, 120, 120, 120, 120, 240]);
  });

  test('JSON is taken as well as YAML', () => {
    expect(problems('{"heloName": "mx.example.com", "workers": 2}')).toEqual([]);
  });

  test.each([
    ['', 'heloName: Required value'],
    ['heloName: mx\n', 'heloName: must be a full host name'],
    ['heloName: mx.example.com\nhelo: x\n', 'helo: unknown field "helo"'],
    ['heloName: mx.example.com\nworkers: 65\n', 'workers: should be less than or equal to 64'],
    [
      'heloName: mx.example.com\nproxyProtocolFrom: [10.0.0.1/8]\n',
      'proxyProtocolFrom[0]: must be an IP address or a CIDR',
    ],
    [
      'heloName: mx.example.com\nretryIntervalsSeconds: []\n',
      'retryIntervalsSeconds: should have at least 1 items',
    ],
    ['heloName: [mx\n', 'at line 2'],
    ['- a\n', 'must be of type object'],
  ])('%j is refused', (document, message) => {
    expect(problems(document).join('\n')).toContain(message);
  });

  test.each(['10.0.0.53', '10.0.0.53:5353', '2001:db8::53', '[2001:db8::53]:53'])(
    'resolver %s',
    (resolver) => {
      expect(problems(`heloName: mx.example.com\nresolvers: ["${resolver}"]\n`)).toEqual([]);
    },
  );

  test.each(['dns.example', '10.0.0.53:', '10.0.0.53:0', '10.0.0.53:65536', '[10.0.0.53', '2001:db8::53:x'])(
    'resolver %s is refused',
    (resolver) => {
      expect(problems(`heloName: mx.example.com\nresolvers: ["${resolver}"]\n`).join()).toContain(
        'resolvers[0]: must be',
      );
    },
  );

  test('the ConfigMap is named after the MTA', () => {
    expect(mtaConfigMapName('default')).toBe('postern-mta-default');
  });
});
