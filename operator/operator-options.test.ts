import { expect, test } from 'vitest';
import { parseOperatorFlags } from './operator-options.ts';

const parse = (line: string, ownNamespace?: string) =>
  parseOperatorFlags(line === '' ? [] : line.split(' '), ownNamespace);

test('in a pod it serves its own namespace, and needs no flag', () => {
  expect(parse('', 'mail')).toEqual({
    namespaces: ['mail'],
    class: '',
    http: { host: '0.0.0.0', port: 8080 },
    leaderElect: false,
    clusterDomain: 'cluster.local',
    resolvers: [],
    allowedRouteRanges: [],
    clusterRanges: ['127.0.0.0/8', '::1/128'],
    logLevel: 'info',
  });
});

test('every flag is taken', () => {
  const line =
    '--kubeconfig k --namespaces a,b,a --class blue --http [::1]:9 --leader-elect --cluster-domain c.local --resolver 192.0.2.1 --resolver [::1]:5353 --allow-route-range 127.0.0.0/8 --cluster-range 10.0.0.0/8 --log-level debug';
  expect(parse(line)).toEqual({
    kubeconfig: 'k',
    namespaces: ['a', 'b'],
    class: 'blue',
    http: { host: '::1', port: 9 },
    leaderElect: true,
    clusterDomain: 'c.local',
    resolvers: ['192.0.2.1:53', '[::1]:5353'],
    allowedRouteRanges: ['127.0.0.0/8'],
    clusterRanges: ['127.0.0.0/8', '::1/128', '10.0.0.0/8'],
    logLevel: 'debug',
  });
  expect(parse('--namespaces all').namespaces).toBe('all');
});

test.each([
  ['', '--namespaces is needed'],
  ['--namespaces Not_A_Name', '"Not_A_Name" is no name of a namespace'],
  ['--namespaces a --cluster-range 10.0.0', '--cluster-range: "10.0.0" is no address and no CIDR'],
  ['--namespaces a --http 8080', '--http: "8080" is not ADDRESS:PORT'],
  ['--namespaces a --log-level loud', '--log-level: "loud" is none of'],
  ['--namespaces a --nope', '--nope'],
])('%j is refused: %s', (line, message) => {
  expect(() => parse(line)).toThrow(message);
});
