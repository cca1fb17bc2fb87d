// One install at a time on a machine, by a lock that cannot go stale.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Runs `work` while no other process holds the lock of this name. The lock is a listening socket in Linux's abstract
 * namespace: the kernel frees it when its holder dies, however it dies. Elsewhere there is no lock, and the renames
 * into place keep the results whole.
 *
 * @param name Any text, for example the folder that is written.
 * @param onWait Called once if another process holds the lock.
 */
export async function withLock<T>(name: string, onWait: () => void, work: () => Promise<T>): Promise<T> {
  if (process.platform !== 'linux') return work();
  const path = `\0postern-${createHash('sha256').update(name).digest('hex').slice(0, 32)}`;
  let waited = false;
  for (;;) {
    const server = createServer();
    server.listen(path);
    try {
      await once(server, 'listening');
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error;
      if (!waited) onWait();
      waited = true;
      await delay(500);
      continue;
    }
    try {
      return await work();
    } finally {
      server.close();
    }
  }
}

/**
 * Like {@link withLock}, for longer than a function's run.
 *
 * @returns what gives it back
 */
export async function takeLock(name: string, onWait: () => void): Promise<() => void> {
  const taken = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  const held = withLock(name, onWait, async () => {
    taken.resolve();
    await done.promise;
  });
  await Promise.race([taken.promise, held]);
  return done.resolve;
}
