import type * as z from 'zod';

/** Something that is wrong with an object, in the words that the API server uses for the same fault. */
export type Problem = {
  /** Path of the field, such as `spec.entries[3].address`; empty for the object itself. */
  path: string;
  message: string;
  /** The value found there, if it is no list or object. */
  value?: unknown;
};

/**
 * Turns an issue of the zod parse into a problem.
 *
 * @param root the whole object, to find what stands at the issue's path
 * @param prefix where in it the value stands that was parsed
 */
export function toProblem(issue: z.core.$ZodIssue, root: unknown, prefix: readonly string[]): Problem {
  const path = [...prefix, ...issue.path];
  const value = valueAt(root, path);
  const problem = { path: toPath(path), message: messageOf(issue, value) };
  return value === undefined || (typeof value === 'object' && value !== null)
    ? problem
    : { ...problem, value };
}

/** One line: path and message. */
export function problemText(problem: Problem): string {
  return problem.path === '' ? problem.message : `${problem.path}: ${problem.message}`;
}

function messageOf(issue: z.core.$ZodIssue, value: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      return value === undefined
        ? 'Required value'
        : `must be of type ${typeNames[issue.expected] ?? issue.expected}: "${typeOf(value)}"`;
    case 'invalid_value':
      return value === undefined
        ? 'Required value'
        : `Unsupported value: ${JSON.stringify(value)}: supported values: ${issue.values.map((word) => `"${String(word)}"`).join(', ')}`;
    case 'too_big':
      return tooBig(issue.origin, issue.maximum);
    case 'too_small':
      return tooSmall(issue.origin, issue.minimum);
    case 'invalid_format':
      return `should match '${issue.pattern ?? issue.format}'`;
    default:
      return issue.message;
  }
}

function tooBig(origin: string, maximum: number | bigint): string {
  if (origin === 'string') return `Too long: may not be more than ${maximum} bytes`;
  if (origin === 'array') return `must have at most ${maximum} items`;
  return `should be less than or equal to ${maximum}`;
}

function tooSmall(origin: string, minimum: number | bigint): string {
  if (origin === 'string') return `should be at least ${minimum} chars long`;
  if (origin === 'array') return `should have at least ${minimum} items`;
  return `should be greater than or equal to ${minimum}`;
}

const typeNames: Readonly<Record<string, string>> = { int: 'integer', number: 'integer', record: 'object' };

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value === 'number' && Number.isInteger(value) ? 'integer' : typeof value;
}

function toPath(path: readonly PropertyKey[]): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += text === '' ? String(step) : `.${String(step)}`;
  }
  return text;
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = Reflect.get(value, step);
  }
  return value;
}
