import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Compares what all others have made the operator do with its rights. */
const last = 'test/e2e/rights.test.ts';

class LastOfAll extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLast = ({ moduleId }: TestSpecification) => moduleId.endsWith(last);
    return [...sorted.filter((file) => !isLast(file)), ...sorted.filter(isLast)];
  }
}

// The suites that need more than a process: `make e2e`. Not part of `make test`.
export default defineConfig({
  test: {
    include: ['test/image/**/*.test.ts', 'test/e2e/**/*.test.ts', 'test/e2e-argocd/**/*.test.ts'],
    globalSetup: ['test/image/built-image.ts', 'test/e2e/setup.ts'],
    testTimeout: 240_000,
    hookTimeout: 240_000,
    pool: 'forks',
    fileParallelism: false,
    sequence: { sequencer: LastOfAll },
  },
});
