import { defineConfig } from 'vitest/config';

// The suites that need more than a process: `make e2e`. Not part of `make test`.
export default defineConfig({
  test: {
    include: ['test/image/**/*.test.ts', 'test/e2e/**/*.test.ts', 'test/e2e-argocd/**/*.test.ts'],
    globalSetup: ['test/image/built-image.ts', 'test/e2e/setup.ts'],
    testTimeout: 240_000,
    hookTimeout: 240_000,
    pool: 'forks',
    fileParallelism: false,
  },
});
