import { beforeEach, expect, test } from 'vitest';
import { OncePerId } from './once-per-id.ts';

let done: string[];
let once: OncePerId<{ status: number }>;
beforeEach(() => {
  done = [];
  once = new OncePerId(3, ({ status }) => status === 200);
});

const run = (id: string, status: number) =>
  once.run(id, async () => {
    done.push(id);
    return { status };
  });

test('who asks twice for one id gets one result of one work, while it is done and afterwards', async () => {
  expect(await Promise.all([run('a', 200), run('a', 500)])).toEqual([{ status: 200 }, { status: 200 }]);
  expect(await run('a', 500)).toEqual({ status: 200 });
  expect(done).toEqual(['a']);
});

test('what is not final, or has failed, is done anew', async () => {
  expect(await run('a', 503)).toEqual({ status: 503 });
  const failing = () =>
    once.run('a', async () => {
      throw new Error('disk full');
    });
  const outcomes = await Promise.allSettled([failing(), failing()]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(await run('a', 200)).toEqual({ status: 200 });
  expect(done).toEqual(['a', 'a']);
});

test('the latest ids are remembered, and no more than that', async () => {
  for (const id of ['a', 'b', 'c', 'a', 'd']) await run(id, 200);
  expect(done).toEqual(['a', 'b', 'c', 'd']);
  await run('a', 200);
  await run('b', 200);
  expect(done).toEqual(['a', 'b', 'c', 'd', 'b']);
});
