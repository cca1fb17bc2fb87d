import { expect, it } from 'vitest';
import { isReady, notRunning, statusTable } from './status-table.ts';

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
