// One control plane for a test file, and a namespace of its own for each test in it.
import { afterAll, beforeAll } from 'vitest';
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from './control-plane.ts';

export interface SharedControlPlane {
  /** The running control plane. @throws Error outside of tests and of hooks that come later. */
  readonly current: ControlPlane;
  /** Creates a namespace that no other test has, `<prefix>-<n>`. */
  freshNamespace(prefix?: string): Promise<string>;
}

/** Starts a control plane before the tests of this file (or `describe` block) and stops it after them. */
export function useControlPlane(options: ControlPlaneOptions = {}): SharedControlPlane {
  let running: ControlPlane | undefined;
  let namespaces = 0;
  beforeAll(async () => {
    running = await startControlPlane(options);
  });
  afterAll(async () => {
    await running?.stop();
  });
  const current = () => {
    if (running === undefined) throw new Error('the control plane runs only while the tests do');
    return running;
  };
  return {
    get current() {
      return current();
    },
    async freshNamespace(prefix = 'test') {
      namespaces += 1;
      const name = `${prefix}-${namespaces}`;
      await current().createNamespace(name);
      return name;
    },
  };
}
