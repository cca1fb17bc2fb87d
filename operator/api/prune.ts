import * as z from 'zod';

/** A field that the schema does not have, by its path. */
export type UnknownField = { path: string };

/**
 * What the API server does to an object before it looks at the schema: unknown fields are noted and dropped, and a null
 * is as if the field had not been written. Nulls inside lists stay, for the schema to refuse.
 *
 * @param schema the schema of `value`
 * @param path where `value` stands, for the notes
 * @param unknown receives the unknown fields
 * @returns `value` itself if nothing had to go, else a copy
 */
export function prune(
  schema: z.core.$ZodType,
  value: unknown,
  path: string,
  unknown: UnknownField[],
): unknown {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodObject && isRecord(value)) return pruneFields(inner, value, path, unknown);
  if (inner instanceof z.ZodArray && Array.isArray(value)) return pruneItems(inner, value, path, unknown);
  return value;
}

function pruneFields(
  schema: z.ZodObject,
  value: Record<string, unknown>,
  path: string,
  unknown: UnknownField[],
) {
  const kept: Record<string, unknown> = {};
  let changed = false;
  for (const [key, field] of Object.entries(value)) {
    const fieldPath = path === '' ? key : `${path}.${key}`;
    const fieldSchema = Object.hasOwn(schema.shape, key) ? schema.shape[key] : undefined;
    if (fieldSchema === undefined) unknown.push({ path: fieldPath });
    if (fieldSchema === undefined || field === null) {
      changed = true;
      continue;
    }
    const pruned = prune(fieldSchema, field, fieldPath, unknown);
    changed ||= pruned !== field;
    kept[key] = pruned;
  }
  return changed ? kept : value;
}

function pruneItems(schema: z.ZodArray, value: unknown[], path: string, unknown: UnknownField[]) {
  const item = unwrap(schema.def.element);
  if (!(item instanceof z.ZodObject || item instanceof z.ZodArray)) return value;
  const pruned = value.map((entry, index) => prune(item, entry, `${path}[${index}]`, unknown));
  return pruned.some((entry, index) => entry !== value[index]) ? pruned : value;
}

/** The schema inside optional and default, or before a transformation. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodPipe) return unwrap(schema.def.in);
  const isWrapper =
    schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault;
  return isWrapper ? unwrap(schema.def.innerType) : schema;
}

/** Whether a value is a plain object, not a list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
