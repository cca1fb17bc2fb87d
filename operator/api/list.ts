import * as z from 'zod';

/** A list in which no text stands twice; its order means nothing. */
export function setOf<Item extends z.ZodType>(
  description: string,
  item: Item,
  size: { min?: number; max: number },
): z.ZodArray<Item> {
  const list = boundedList(description, item, size, { 'x-kubernetes-list-type': 'set' });
  return withoutDuplicates(list, (value) => value);
}

/** A list of objects keyed by some of their fields, which must be required. */
export function mapOf<Item extends z.ZodObject>(
  description: string,
  keys: readonly (keyof z.output<Item> & string)[],
  item: Item,
  size: { min?: number; max: number },
): z.ZodArray<Item> {
  const type = { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [...keys] };
  const list = boundedList(description, item, size, type);
  return withoutDuplicates(list, (value) => pick(value, keys));
}

/** A list that is always replaced as a whole: the only kind that carries 10,000 entries (`map` and `set` do not). */
export function listOf<Item extends z.ZodType>(
  description: string,
  item: Item,
  size: { min?: number; max: number },
): z.ZodArray<Item> {
  return boundedList(description, item, size, { 'x-kubernetes-list-type': 'atomic' });
}

function boundedList<Item extends z.ZodType>(
  description: string,
  item: Item,
  size: { min?: number; max: number },
  extension: Record<string, unknown>,
): z.ZodArray<Item> {
  const list = z.array(item).max(size.max);
  return (size.min === undefined ? list : list.min(size.min)).meta({ description, ...extension });
}

/** `set` and `map` lists of Kubernetes refuse the second of two equal entries, and name it. */
function withoutDuplicates<Item extends z.ZodType>(
  list: z.ZodArray<Item>,
  keyOf: (item: z.output<Item>) => unknown,
): z.ZodArray<Item> {
  const checked = list.superRefine((items, context) => {
    const seen = new Set<string>();
    for (const [index, item] of items.entries()) {
      const key = JSON.stringify(keyOf(item));
      if (seen.has(key))
        context.addIssue({ code: 'custom', message: `Duplicate value: ${key}`, path: [index] });
      seen.add(key);
    }
  });
  return checked.meta({ ...list.meta() });
}

function pick<T extends object, K extends keyof T>(value: T, keys: readonly K[]): Partial<Pick<T, K>> {
  const picked: Partial<Pick<T, K>> = {};
  for (const key of keys) picked[key] = value[key];
  return picked;
}
