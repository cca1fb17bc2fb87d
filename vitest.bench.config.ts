import { defineConfig } from 'vitest/config';

// Figures that need a cluster node: `make bench-cluster`. Its assertions are about counts, never about time.
export default defineConfig({
  test: {
    include: ['bench/cluster/*.measure.ts'],
    globalSetup: ['test/image/built-image.ts', 'test/e2e/setup.ts'],
    testTimeout: 1_200_000,
    hookTimeout: 600_000,
    pool: 'forks',
    fileParallelism: false,
  },
});
