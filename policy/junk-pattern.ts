import { RE2JS } from 're2js';
import type { GatewayPolicy } from '../bundle/domain-policy.ts';
import type { DataFacts } from './types.ts';

/** A pattern of `spec.spam.junkPatterns`, ready to be tried. */
export interface JunkPattern {
  readonly text: string;
  readonly program: RE2JS;
}

const compiled = new WeakMap<GatewayPolicy, readonly JunkPattern[]>();

/**
 * Compiles the patterns of a gateway, one to a slice of work; those of a policy object that was seen before are taken over.
 * @throws Error naming the pattern that RE2 does not take: the operator leaves such ones out.
 */
export function* compilePatterns(policy: GatewayPolicy): Generator<void, readonly JunkPattern[]> {
  const known = compiled.get(policy);
  if (known !== undefined) return known;
  const patterns: JunkPattern[] = [];
  for (const text of policy.junkPatterns) {
    patterns.push({ text, program: compile(text) });
    yield;
  }
  compiled.set(policy, patterns);
  return patterns;
}

/**
 * The first pattern that one of the header lines matches anywhere. RE2 takes time linear in the text whatever the pattern, so
 * nobody can stall the process with `(a+)+$`.
 * @param headers unfolded; a line is tried as `Name: value`.
 */
export function findJunkPattern(
  patterns: readonly JunkPattern[],
  headers: DataFacts['headers'],
): JunkPattern | undefined {
  if (patterns.length === 0) return undefined;
  const lines = headers.map(([name, value]) => `${name}: ${value}`);
  return patterns.find(({ program }) => lines.some((line) => program.test(line)));
}

function compile(text: string): RE2JS {
  try {
    return RE2JS.compile(text);
  } catch (cause) {
    throw new Error(`junk pattern ${JSON.stringify(text)}: RE2 does not take it`, { cause });
  }
}
