import * as z from 'zod';

/**
 * A rule over one object, written once: the CRD gets `cel`, the zod parse gets `holds`. A table of manifests run against
 * both (test/api) shows that the halves agree.
 */
export type Rule<T> = {
  /** CEL over `self`; only functions known since Kubernetes 1.31. */
  cel: string;
  /** Begins with the requirement ("must ...", "may not ..."), names the way out. */
  message: string;
  holds: (self: T) => boolean;
  /** Path below `self` that the message is about, such as `outbound.requireTrustedCA`. */
  field?: string;
  /** The rule as a regular expression, for editors that read the JSON Schema and know no CEL. */
  pattern?: string;
};

/** A rule that compares with the stored object, such as "immutable". Only the server has the old object: no zod half. */
export type TransitionRule = { cel: string; message: string; field?: string };

/** One entry of `x-kubernetes-validations`. */
export type CelValidation = { rule: string; message: string; fieldPath?: string; reason?: string };

const validationsKey = 'x-kubernetes-validations';

/**
 * Adds rules to a schema: both halves at once.
 *
 * @param schema any schema; its description and earlier rules stay
 * @param rules checked in order; a value that breaks several is told so several times
 */
export function withRules<S extends z.ZodType>(schema: S, rules: readonly Rule<z.output<S>>[]): S {
  const refined = schema.superRefine((self, context) => {
    for (const rule of rules) {
      if (rule.holds(self)) continue;
      context.addIssue({ code: 'custom', message: rule.message, path: rule.field?.split('.') ?? [] });
    }
  });
  const pattern = rules.find((rule) => rule.pattern !== undefined)?.pattern;
  return addValidations(refined, schema, rules.map(toValidation), pattern);
}

/** Adds rules that need the stored object: they go into the CRD only. */
export function withTransitions<S extends z.ZodType>(schema: S, rules: readonly TransitionRule[]): S {
  const validations = rules.map((rule) => ({ ...toValidation(rule), reason: 'FieldValueForbidden' }));
  return addValidations(schema, schema, validations, undefined);
}

/** A field that keeps its first value. The field must be required or have a default, else use {@link immutableOptional}. */
export function immutable<S extends z.ZodType>(schema: S): S {
  return withTransitions(schema, [
    { cel: 'self == oldSelf', message: 'may not be changed: create a new object instead' },
  ]);
}

/** For the parent: an optional field that may be neither set, changed nor removed later. */
export function immutableOptional(field: string): TransitionRule {
  return {
    cel: `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`,
    message: 'may not be set, changed or removed later: create a new object instead',
    field,
  };
}

/**
 * A rule that a regular expression decides.
 *
 * @param pattern RE2 syntax without double quotes, anchored by the caller
 */
export function matches(pattern: string, message: string): Rule<string> {
  const expression = new RegExp(pattern, 'u');
  return { cel: `self.matches(r"${pattern}")`, message, holds: (self) => expression.test(self), pattern };
}

function toValidation(rule: TransitionRule): CelValidation {
  const fieldPath = rule.field === undefined ? {} : { fieldPath: `.${rule.field}` };
  return { rule: rule.cel, message: rule.message, ...fieldPath };
}

function addValidations<S extends z.ZodType>(
  schema: S,
  origin: z.ZodType,
  validations: readonly CelValidation[],
  pattern: string | undefined,
): S {
  const meta = metaOf(origin);
  const earlier = Array.isArray(meta[validationsKey]) ? meta[validationsKey] : [];
  const editorPattern = pattern === undefined ? {} : { 'x-postern-pattern': pattern };
  return schema.meta({ ...meta, ...editorPattern, [validationsKey]: [...earlier, ...validations] });
}

/** Metadata of a schema together with that of the schema inside its default: what stands outside would hide the rules inside. */
function metaOf(schema: z.core.$ZodType): Record<string, unknown> {
  const own = z.globalRegistry.get(schema) ?? {};
  const isWrapper =
    schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional;
  return isWrapper ? { ...metaOf(schema.def.innerType), ...own } : own;
}
