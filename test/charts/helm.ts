// The charts as helm renders them.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { requireProgram } from '../cluster/programs.ts';
import { type CommandResult, runCommand } from '../cluster/run-command.ts';

export const chartNames = ['postern-crds', 'postern', 'postern-tenant'] as const;
export type ChartName = (typeof chartNames)[number];

export const root = fileURLToPath(new URL('../..', import.meta.url));

const manifest = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    labels: z.record(z.string(), z.string()).default({}),
    annotations: z.record(z.string(), z.string()).default({}),
  }),
});

export type Manifest = z.infer<typeof manifest>;

export interface RenderOptions {
  readonly release?: string;
  readonly namespace?: string;
  /** Files below ci/ of the chart. */
  readonly files?: readonly string[];
  /** `--set` arguments. */
  readonly set?: readonly string[];
}

/** Runs helm. A non-zero exit code is returned, not thrown. */
export function helm(...args: string[]): Promise<CommandResult> {
  return runCommand(requireProgram('helm'), args);
}

export function chartFolder(chart: ChartName): string {
  return join(root, 'charts', chart);
}

/** The values files that a chart brings for its tests. */
export function ciFiles(chart: ChartName): string[] {
  return readdirSync(join(chartFolder(chart), 'ci')).sort();
}

/** `helm template` with these values. @returns exit code and texts */
export function template(chart: ChartName, options: RenderOptions = {}): Promise<CommandResult> {
  const {
    release = chart === 'postern' ? 'postern' : 'mail',
    namespace = 'postern-system',
    files = [],
    set = [],
  } = options;
  return helm(
    'template',
    release,
    chartFolder(chart),
    `--namespace=${namespace}`,
    ...files.map((file) => `--values=${join(chartFolder(chart), 'ci', file)}`),
    ...set.map((assignment) => `--set=${assignment}`),
  );
}

/**
 * The objects of a chart.
 *
 * @throws Error with helm's message, or if a document is no Kubernetes object
 */
export async function render(chart: ChartName, options: RenderOptions = {}): Promise<Manifest[]> {
  const { code, stdout, stderr } = await template(chart, options);
  if (code !== 0) throw new Error(`helm template ${chart}: ${stderr}`);
  return parseAllDocuments(stdout).flatMap((document) => {
    // Kubernetes reads YAML 1.1, where a key that stands twice is an error as well.
    if (document.errors.length > 0) throw new Error(`${chart}: ${String(document.errors[0])}`);
    const value: unknown = document.toJS();
    return value === null ? [] : [manifest.parse(value)];
  });
}

/** Every chart with every values file of it: what is true of all renders is tested on these. */
export const renders = chartNames.flatMap((chart) => ciFiles(chart).map((file) => ({ chart, file })));
