import * as z from 'zod';
import type { CelValidation } from '../api/rule.ts';

/** A value that JSON can hold. */
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The part of OpenAPI v3 that a structural schema may use. */
export type Structural = {
  type: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  description: string;
  default?: Json;
  enum?: Json[];
  format?: string;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  items?: Structural;
  properties?: Record<string, Structural>;
  required?: string[];
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-validations'?: CelValidation[];
  /** Not for the server: the regular expression that a rule stands for, the format that a pattern stands for. */
  'x-postern-pattern'?: string;
  'x-postern-format'?: string;
};

/** What is copied as it is, in the order in which it is written; everything else is handled by name or refused. */
const copied = [
  'type',
  'description',
  'default',
  'enum',
  'format',
  'pattern',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-validations',
  'x-postern-pattern',
  'x-postern-format',
] as const;

const int32 = 2_147_483_647;

/**
 * Turns a zod schema into a structural schema: what JSON Schema can say and Kubernetes does not take is rewritten, and
 * anything unknown throws, so that nothing is lost silently.
 *
 * @throws Error naming the path, if the schema uses something that no CRD can hold
 */
export function toStructural(schema: z.ZodType, path: string): Structural {
  const json: unknown = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io: 'input',
    reused: 'inline',
    cycles: 'throw',
  });
  const structural = convert(json, path);
  return { ...structural, ...expandDefaults(structural) };
}

function convert(node: unknown, path: string): Structural {
  if (!isObject(node)) throw new Error(`${path}: is no schema`);
  const { properties, items, required, $schema: _, additionalProperties, ...rest } = node;
  if (additionalProperties !== undefined) throw new Error(`${path}: additionalProperties: use fixed fields`);
  const unknown = Object.keys(rest).filter((key) => !copied.some((name) => name === key));
  if (unknown.length > 0) throw new Error(`${path}: a structural schema cannot hold ${unknown.join(', ')}`);
  const ordered = Object.fromEntries(
    copied.filter((key) => rest[key] !== undefined).map((key) => [key, rest[key]]),
  );
  const integers = wholeNumbers(ordered);
  const fields = isObject(properties)
    ? {
        properties: Object.fromEntries(
          Object.entries(properties).map(([name, field]) => [name, convert(field, `${path}.${name}`)]),
        ),
      }
    : {};
  const element = items === undefined ? {} : { items: convert(items, `${path}[]`) };
  const needed = Array.isArray(required) ? { required } : {};
  // The one place where JSON of the zod library becomes our type; the lint below and the real API server check it.
  return { ...ordered, ...integers, ...needed, ...fields, ...element } as Structural;
}

/** Zod calls a choice of numbers `number`, and the server wants to know when an integer exceeds 32 bits. */
function wholeNumbers(node: Record<string, unknown>): Partial<Structural> {
  const { type, enum: words, maximum } = node;
  if (type === 'number' && Array.isArray(words) && words.every(Number.isInteger)) return { type: 'integer' };
  return type === 'integer' && typeof maximum === 'number' && maximum > int32 ? { format: 'int64' } : {};
}

/**
 * Writes defaults out in full. The server checks the default of an object against the rules of that object before the
 * defaults inside are filled in, so a default of `{}` makes the CRD uninstallable as soon as a rule reads a field.
 */
function expandDefaults(node: Structural): Structural {
  const properties = node.properties && mapValues(node.properties, expandDefaults);
  const items = node.items && expandDefaults(node.items);
  const expanded = { ...node, ...(properties && { properties }), ...(items && { items }) };
  return isJsonObject(node.default) ? { ...expanded, default: fill(expanded, node.default) } : expanded;
}

function fill(node: Structural, value: { [key: string]: Json }): { [key: string]: Json } {
  const filled: { [key: string]: Json } = { ...value };
  for (const [name, field] of Object.entries(node.properties ?? {})) {
    const given = filled[name] ?? field.default;
    if (given !== undefined) filled[name] = isJsonObject(given) ? fill(field, given) : given;
  }
  return filled;
}

/** The schema as the API server takes it: without what is meant for editors. */
export function forServer(node: Structural): Structural {
  const { 'x-postern-pattern': _pattern, 'x-postern-format': _format, ...rest } = node;
  return {
    ...rest,
    ...(node.properties && { properties: mapValues(node.properties, forServer) }),
    ...(node.items && { items: forServer(node.items) }),
  };
}

function mapValues<T, U>(record: Record<string, T>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isJsonObject(value: Json | undefined): value is { [key: string]: Json } {
  return isObject(value);
}
