import { Command } from 'commander';
import { type ConditionType, conditionTypes } from '../../operator/api/index.ts';
import { compile } from '../../operator/compile/compile.ts';
import type { StatusRecord } from '../../operator/compile/model.ts';
import { type FolderProblem, problemDetail } from '../../operator/platform/standalone/problem.ts';
import { answerNo } from '../failure.ts';
import { type Format, outputOption, printAnswer } from '../output.ts';
import type { Shell } from '../shell.ts';
import { loadSnapshot } from '../snapshot.ts';
import { addSource, requireSource, type SourceFlags } from '../source.ts';

/** One finding. `file`, `line` and `column` are there when it stands at a place in the folder. */
interface LintFinding {
  readonly severity: 'error' | 'warning';
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly object?: string;
  readonly field?: string;
  readonly value?: string;
  readonly reason?: string;
  readonly message: string;
}

const examples = `
Examples:
  postern lint -f policy
  postern lint -f policy --strict -o json
  postern lint -n mail

Finds what the API server would refuse, and what the operator would: conflicts, limits over several objects, references that
lead nowhere. The exit code is 1 if there is an error, with --strict also if there is a warning.`;

interface LintFlags extends SourceFlags {
  readonly strict?: boolean;
  readonly output: Format;
}

/** `postern lint`: everything that is wrong with a folder before anything runs, or with a namespace. */
export function lintCommand(shell: Shell): Command {
  const command = new Command('lint')
    .description('Check manifests: schema, references, conflicts, limits, warnings.')
    .option('--strict', 'warnings count as errors')
    .addOption(outputOption())
    .addHelpText('after', examples)
    .action((flags: LintFlags) => lint(shell, flags));
  return addSource(command);
}

async function lint(shell: Shell, flags: LintFlags): Promise<void> {
  const { snapshot, problems, ignored, readsSecrets } = await loadSnapshot(
    shell,
    requireSource(flags),
    shell.now(),
  );
  // A Secret that may not be read need not be missing.
  const isKnown = ({ reason }: LintFinding): boolean => readsSecrets || reason !== 'SecretNotFound';
  const found = compile(snapshot).statuses.flatMap(fromStatus).filter(isKnown);
  const findings = [...problems.map(fromProblem), ...found];
  const answer = { findings, ignored, objects: snapshot.objects.length };
  printAnswer(shell, flags.output, answer, () =>
    [...findings.map(findingLine), summary(findings, snapshot.objects.length)].join('\n'),
  );
  const isBad = findings.some(({ severity }) => severity === 'error' || flags.strict === true);
  if (isBad) shell.exit(answerNo);
}

function fromProblem(problem: FolderProblem): LintFinding {
  const { position, object, field, value } = problem;
  return {
    severity: 'error',
    ...position,
    ...(object === undefined ? {} : { object: `${object.kind}/${object.name}` }),
    ...(field === '' ? {} : { field }),
    ...(value === undefined ? {} : { value }),
    message: problemDetail(problem),
  };
}

/** Conditions that can be told without DNS and without pods: none is asked here, so what is not programmed all the same never will be. */
const offline: ReadonlySet<ConditionType> = new Set<ConditionType>([
  'Accepted',
  'ResolvedRefs',
  'Programmed',
]);

function fromStatus({ kind, name, status }: StatusRecord): LintFinding[] {
  return (status.conditions ?? []).flatMap(({ type, status: state, reason, message }): LintFinding[] => {
    // A warning has one reason, which is its type.
    const what = type === reason ? type : `${type}: ${reason}`;
    const finding = { object: `${kind}/${name}`, reason, message: `${what}: ${message}` };
    if (state === 'False' && offline.has(type)) return [{ severity: 'error', ...finding }];
    if (conditionTypes[type].warning && state === 'True') return [{ severity: 'warning', ...finding }];
    return [];
  });
}

function findingLine({ severity, file, line, column, object, message }: LintFinding): string {
  const place = file === undefined ? [] : [`${file}:${line}:${column}`];
  return [...place, severity, ...(object === undefined ? [] : [object]), message].join(': ');
}

function summary(findings: readonly LintFinding[], objects: number): string {
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  return `${objects} objects, ${errors} errors, ${findings.length - errors} warnings`;
}
