import { tmpdir } from 'node:os';
import { afterEach, expect, test, vi } from 'vitest';
import { FolderWatch } from './folder-watch.ts';

const watch = new FolderWatch({ changed: () => undefined });
afterEach(() => watch.close());

const watchers = () => process.getActiveResourcesInfo().filter((name) => name === 'FSEventWrap').length;

test('a watch that is asked for after the end keeps nothing alive: a stop can come while the folder is read', async () => {
  const before = watchers();
  watch.watch([tmpdir()]);
  expect(watchers()).toBe(before + 1);
  watch.close();
  watch.watch([tmpdir()]);
  // A handle is closed at the next turn.
  await vi.waitFor(() => expect(watchers()).toBe(before));
});
