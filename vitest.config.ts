import { configDefaults, defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{bundle,policy,operator,mta,cli,test,bench}/**/*.test.ts'],
    // What needs Docker, a cluster node or Argo CD: vitest.e2e.config.ts.
    exclude: [...configDefaults.exclude, 'test/image/**', 'test/e2e/**', 'test/e2e-argocd/**'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Two cores: more workers only make servers under test wait for each other.
    maxWorkers: 2,
    pool: 'forks',
    globalSetup: [],
  },
});
