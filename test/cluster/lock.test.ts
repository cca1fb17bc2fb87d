import { expect, test } from 'vitest';
import { withLock } from './lock.ts';

test('the second waits until the first is done, also if that failed', async () => {
  const name = `test ${process.pid}`;
  const log: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = withLock(
    name,
    () => log.push('first waits'),
    async () => {
      log.push('first begins');
      await gate.promise;
      log.push('first ends');
      throw new Error('build failed');
    },
  );
  const second = withLock(
    name,
    () => {
      log.push('second waits');
      gate.resolve();
    },
    async () => void log.push('second begins'),
  );
  await expect(first).rejects.toThrow('build failed');
  await second;
  expect(log).toEqual(['first begins', 'second waits', 'first ends', 'second begins']);
});
