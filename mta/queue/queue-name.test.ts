import { expect, test } from 'vitest';
import { dueName, heldName, parseQueueName, positionOf } from './queue-name.ts';

const file = '1700000000000_1700000300000_2_4711_0F3A-11.1.2_7_mta-0';

test('the name of a queue file tells id, times and attempts', () => {
  expect(parseQueueName(file)).toEqual({
    file,
    id: '0F3A-11.1.2',
    arrived: 1_700_000_000_000,
    nextAttempt: 1_700_000_300_000,
    attempts: 2,
    held: false,
  });
});

test.each(['__tmp__.1_2_0_4_id_6_host', 'error.1_2_0_4_id_6_host', 'lost+found', '1_2_0_4_../x_6_h', ''])(
  'is no mail: %j',
  (name) => expect(parseQueueName(name)).toBeUndefined(),
);

test('held and released, a mail keeps id, attempts and place', () => {
  const before = parseQueueName(file);
  if (before === undefined) throw new Error('no name');
  const held = parseQueueName(heldName(before));
  if (held === undefined) throw new Error('no name');
  expect(held).toMatchObject({ id: before.id, attempts: 2, held: true });
  expect(positionOf(held)).toBe(positionOf(before));
  expect(parseQueueName(dueName(held, 1_700_000_400_000))).toMatchObject({
    id: before.id,
    attempts: 2,
    nextAttempt: 1_700_000_400_000,
    held: false,
  });
});
