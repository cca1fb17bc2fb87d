import type { Finding, Notes, Stage } from './stage.ts';
import type { Lookup, TraceStep } from './types.ts';

/** How a list of stages ended: with the finding that stopped it, or with what all of them noted. */
export interface Result {
  readonly trace: readonly TraceStep[];
  readonly notes: Notes;
  readonly end?: Extract<Finding, { outcome: 'reject' | 'need' }>;
}

/** Asks the stages one after the other until one refuses or needs something. */
export function runStages<Facts, Scope>(
  stages: readonly Stage<Facts, Scope>[],
  facts: Facts,
  scope: Scope,
  known: Notes = {},
): Result {
  const trace: TraceStep[] = [];
  let notes = known;
  for (const stage of stages) {
    const finding = stage.judge(facts, scope, notes);
    trace.push(stepOf(stage.name, finding));
    if (finding?.outcome === 'reject' || finding?.outcome === 'need') return { trace, notes, end: finding };
    if (finding?.outcome === 'note') notes = { ...notes, ...finding.notes };
  }
  return { trace, notes };
}

function stepOf(stage: string, finding: Finding | undefined): TraceStep {
  if (finding === undefined) return { stage, outcome: 'pass', detail: '' };
  if (finding.outcome === 'need') {
    return { stage, outcome: 'need', detail: describeLookup(finding.lookup) };
  }
  const because = 'because' in finding ? finding.because : undefined;
  return { stage, outcome: finding.outcome, detail: finding.detail, ...(because && { because }) };
}

function describeLookup(lookup: Lookup): string {
  switch (lookup.kind) {
    case 'recipient':
      return `asks Route ${lookup.route} for the recipient`;
    case 'authentication':
      return 'asks for SPF, DKIM, DMARC and ARC';
    case 'contentFilter':
      return `asks the content filter at ${lookup.url}`;
  }
}
