import type { PosternObject } from '../api/index.ts';
import type { Snapshot } from '../compile/model.ts';
import { entriesOf, isPaused, keyOf } from '../compile/objects.ts';

/**
 * Remembers how every object was compiled last, so that one with `postern.dev/paused` stays as it was however it is edited (G16).
 * In memory only: after a restart a paused object is taken as it stands then, and stays so. A platform that stores what was before
 * the pause says so in `Snapshot.held`, which goes first.
 */
export class HeldObjects {
  private readonly namespaces = new Map<string, ReadonlyMap<string, PosternObject>>();

  /** How the objects of the namespace were compiled last. */
  formsIn(namespace: string): readonly PosternObject[] {
    return [...(this.namespaces.get(namespace)?.values() ?? [])];
  }

  /** Lets go of a namespace that is not served any more. */
  forget(namespace: string): void {
    this.namespaces.delete(namespace);
  }

  /** The snapshot with what its paused objects are held at. What is compiled of it is remembered in place of all before. */
  hold(snapshot: Snapshot): Snapshot {
    const known = this.namespaces.get(snapshot.namespace);
    const remembered = snapshot.objects.filter(isPaused).flatMap((object) => {
      const form = known?.get(keyOf(object));
      return form === undefined ? [] : [[keyOf(object), form] as const];
    });
    const held = { ...Object.fromEntries(remembered), ...snapshot.held };
    const holding = Object.freeze({ ...snapshot, held });
    const compiled = entriesOf(holding).flatMap((entry) => entry.compiled ?? []);
    this.namespaces.set(snapshot.namespace, new Map(compiled.map((object) => [keyOf(object), object])));
    return holding;
  }
}
