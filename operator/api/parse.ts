import * as z from 'zod';
import type { KindName } from '../../bundle/source.ts';
import { apiVersion, type KindDefinition, type ObjectOf } from './kind.ts';
import { metadataSchema, readMetadata } from './metadata.ts';
import { type Problem, toProblem } from './problem.ts';
import { isRecord, prune, type UnknownField } from './prune.ts';

/** An object with defaults filled in, or everything that is wrong with it. */
export type ParseResult<T> = { ok: true; object: T } | { ok: false; problems: Problem[] };

/**
 * Makes the parser of one kind. It accepts and refuses what the API server does with `fieldValidation=Strict`, and in the
 * same words; only rules that compare with a stored object (immutable fields) are the server's alone.
 *
 * The parse of a full list costs tens of milliseconds, so the result for a frozen object is kept as long as the object.
 */
export function parserOf<Name extends KindName, Spec extends z.ZodObject, Status extends z.ZodObject>(
  definition: KindDefinition<Name, Spec, Status>,
): (raw: unknown) => ParseResult<ObjectOf<KindDefinition<Name, Spec, Status>>> {
  type Result = ParseResult<ObjectOf<KindDefinition<Name, Spec, Status>>>;
  const known = new WeakMap<object, Result>();
  const envelope = z.object({
    apiVersion: z.literal(apiVersion),
    kind: z.literal(definition.kind),
    metadata: metadataSchema,
    spec: definition.spec,
    status: z.unknown().optional(),
  });

  const headSchema = envelope.omit({ spec: true, status: true });

  const parse = (raw: unknown): Result => {
    const unknown: UnknownField[] = [];
    const written = prune(envelope, raw, '', unknown);
    const head = headSchema.safeParse(written);
    const spec = definition.spec.safeParse(isRecord(written) ? written['spec'] : undefined);
    if (head.success && spec.success && unknown.length === 0) {
      const { apiVersion, metadata } = head.data;
      const object = { apiVersion, kind: definition.kind, metadata: readMetadata(metadata), spec: spec.data };
      const status = readStatus(definition.status, written);
      return { ok: true, object: status === undefined ? object : { ...object, status } };
    }
    const problems = [
      ...unknown.map(({ path }) => ({ path, message: `unknown field "${path}"` })),
      ...(head.error?.issues ?? []).map((issue) => toProblem(issue, written, [])),
      ...(spec.error?.issues ?? []).map((issue) => toProblem(issue, written, ['spec'])),
    ];
    return { ok: false, problems };
  };

  return (raw) => {
    if (!isRecord(raw) || !Object.isFrozen(raw)) return parse(raw);
    const result = known.get(raw) ?? parse(raw);
    known.set(raw, result);
    return result;
  };
}

/** A status of an older or newer operator that does not parse counts as none: it is written anew. */
function readStatus<Status extends z.ZodObject>(
  schema: Status,
  object: unknown,
): z.output<Status> | undefined {
  return schema.safeParse(prune(schema, isRecord(object) ? object['status'] : undefined, '', [])).data;
}
