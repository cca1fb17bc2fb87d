import { expect, it } from 'vitest';
import { adviceTable, isReady, notRunning, statusTable } from './status-table.ts';

const condition = (type: string, status: string, reason: string = type) => ({
  type,
  status,
  reason,
  message: '',
});

it('without a running MTA nothing is Programmed or Ready, and what the manifests tell stays', () => {
  const row = notRunning({
    kind: 'Route',
    name: 'old',
    status: {
      conditions: [
        condition('Accepted', 'True'),
        condition('ResolvedRefs', 'False', 'SecretNotFound'),
        condition('Programmed', 'True'),
        condition('Ready', 'True'),
      ],
    },
  });
  expect(isReady(row)).toBe(false);
  expect(statusTable([row]).split('\n')[1]?.split(/ {2,}/)).toEqual([
    'Route',
    'old',
    'Unknown',
    'True',
    'False',
    'Unknown',
    'NoReadyPods',
    'No MTA runs for this folder',
  ]);
});

it('a condition that says no goes on saying why', () => {
  const row = notRunning({
    kind: 'IpAccessList',
    name: 'l',
    status: { conditions: [condition('Ready', 'False', 'Conflicted')] },
  });
  expect(row.status.conditions).toEqual([condition('Ready', 'False', 'Conflicted')]);
});

it('R2, A9: lists conditions beside Ready that want an eye: warnings that are True, and others that are not', () => {
  const condition = (type: string, status: string, reason = type) => ({
    type,
    status,
    reason,
    message: `${type} said`,
  });
  const rows = [
    {
      kind: 'Route',
      name: 'relay',
      status: {
        conditions: [
          condition('Ready', 'True'),
          condition('InUse', 'False', 'Unused'),
          condition('Reachable', 'False', 'HostNotFound'),
        ],
      },
    },
    {
      kind: 'MailDomain',
      name: 'main',
      status: {
        conditions: [
          condition('MtaAvailable', 'True'),
          condition('MxReady', 'Unknown', 'ResolverError'),
          condition('SpfReady', 'Unknown', 'Pending'),
          condition('BackscatterRisk', 'True'),
          condition('QueueStranded', 'False'),
        ],
      },
    },
  ];
  expect(
    adviceTable(rows)
      ?.split('\n')
      .map((line) => line.split(/ {2,}/)),
  ).toEqual([
    ['KIND', 'NAME', 'CONDITION', 'STATUS', 'REASON', 'MESSAGE'],
    ['Route', 'relay', 'Reachable', 'False', 'HostNotFound', 'Reachable said'],
    ['MailDomain', 'main', 'MxReady', 'Unknown', 'ResolverError', 'MxReady said'],
    ['MailDomain', 'main', 'BackscatterRisk', 'True', 'BackscatterRisk', 'BackscatterRisk said'],
  ]);
  expect(adviceTable([])).toBeUndefined();
});
