import { afterEach } from 'vitest';

/**
 * For a test file in which each test starts servers of its own: what is kept is ended after the test, last first.
 * @returns the function that keeps.
 */
export function keepUntilTestEnds(): <T extends AsyncDisposable>(resource: T) => T {
  const kept: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const resource of kept.splice(0).toReversed()) await resource[Symbol.asyncDispose]();
  });
  return (resource) => {
    kept.push(resource);
    return resource;
  };
}
