import { expect, test } from 'vitest';
import type { Condition } from '../../api/index.ts';
import { transitionsOf } from './transitions.ts';

const ready = (status: 'True' | 'False' | 'Unknown'): Condition =>
  status === 'True'
    ? { type: 'Ready', status, reason: 'Ready', message: '', lastTransitionTime: 't' }
    : { type: 'Ready', status, reason: 'RouteNotFound', message: 'm', lastTransitionTime: 't' };
const refs = (status: 'True' | 'False'): Condition =>
  status === 'True'
    ? { type: 'ResolvedRefs', status, reason: 'ResolvedRefs', message: '', lastTransitionTime: 't' }
    : {
        type: 'ResolvedRefs',
        status,
        reason: 'RouteNotFound',
        message: 'Route x does not exist',
        lastTransitionTime: 't',
      };

test('becoming ready is said once', () => {
  expect(transitionsOf([ready('Unknown')], [ready('True')])).toEqual([
    { type: 'Normal', reason: 'Ready', action: 'Ready', note: 'Ready is True' },
  ]);
  expect(transitionsOf([ready('True')], [ready('True')])).toEqual([]);
});

test('a failure is told by the condition that causes it, not by Ready', () => {
  expect(transitionsOf([refs('True'), ready('True')], [refs('False'), ready('False')])).toEqual([
    { type: 'Warning', reason: 'RouteNotFound', action: 'ResolvedRefs', note: 'Route x does not exist' },
  ]);
});

test('a warning that begins is told', () => {
  const broad: Condition = {
    type: 'BroadRange',
    status: 'True',
    reason: 'BroadRange',
    message: 'wide',
    lastTransitionTime: 't',
  };
  expect(transitionsOf([], [broad])).toMatchObject([{ type: 'Warning', action: 'BroadRange', note: 'wide' }]);
});

test('a pod that has not loaded a change yet is told of only if it had: every change is in one pod before it is in the other', () => {
  const programmed = (status: 'True' | 'False', observedGeneration: number): Condition => ({
    ...(status === 'True'
      ? { type: 'Programmed', status, reason: 'Programmed', message: '' }
      : { type: 'Programmed', status, reason: 'PartiallyProgrammed', message: 'Waiting for pod mail-1' }),
    observedGeneration,
    lastTransitionTime: 't',
  });
  expect(transitionsOf([], [programmed('False', 1)])).toEqual([]);
  expect(transitionsOf([programmed('True', 1)], [programmed('False', 2)])).toEqual([]);
  expect(transitionsOf([programmed('True', 2)], [programmed('False', 2)])).toMatchObject([
    { type: 'Warning', reason: 'PartiallyProgrammed', note: 'Waiting for pod mail-1' },
  ]);
});
