import type * as z from 'zod';
import type { KindName } from '../../bundle/source.ts';
import type { ConditionType } from './reasons.ts';

export const group = 'postern.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;

/** A column of `kubectl get`. */
export type Column = {
  name: string;
  type: 'string' | 'integer' | 'boolean' | 'date';
  jsonPath: string;
  description: string;
  /** Shown with `-o wide` only. */
  wide?: true;
};

/** One kind of the API: everything that its CRD, its reference page and its parser are made from. */
export type KindDefinition<
  Name extends KindName = KindName,
  Spec extends z.ZodObject = z.ZodObject,
  Status extends z.ZodObject = z.ZodObject,
> = {
  kind: Name;
  plural: string;
  singular: string;
  shortNames: readonly string[];
  description: string;
  columns: readonly Column[];
  /** Field paths that `--field-selector` takes, such as `.spec.domain`; at most 8. */
  selectableFields: readonly string[];
  /** Conditions that the operator writes on this kind. */
  conditions: readonly ConditionType[];
  spec: Spec;
  status: Status;
};

/** The part of metadata that Postern reads. */
type ObjectMeta = {
  name: string;
  namespace: string;
  generation?: number | undefined;
  uid?: string | undefined;
  creationTimestamp?: string | undefined;
  resourceVersion?: string | undefined;
  labels?: Record<string, string> | undefined;
  annotations?: Record<string, string> | undefined;
  deletionTimestamp?: string | undefined;
  finalizers?: string[] | undefined;
};

/** An object of one kind after the parse: defaults filled in, rules checked. */
export type ObjectOf<Definition extends KindDefinition> = {
  apiVersion: typeof apiVersion;
  kind: Definition['kind'];
  metadata: ObjectMeta;
  spec: z.output<Definition['spec']>;
  status?: z.output<Definition['status']> | undefined;
};

/** Declares a kind; the names follow from the kind alone. */
export function defineKind<const Name extends KindName, Spec extends z.ZodObject, Status extends z.ZodObject>(
  definition: Omit<KindDefinition<Name, Spec, Status>, 'plural' | 'singular'> & { plural?: string },
): KindDefinition<Name, Spec, Status> {
  const singular = definition.kind.toLowerCase();
  return { ...definition, singular, plural: definition.plural ?? `${singular}s` };
}

/** Column showing the status of one condition. */
export function conditionColumn(name: string, type: ConditionType, description: string): Column {
  return { name, type: 'string', jsonPath: `.status.conditions[?(@.type=="${type}")].status`, description };
}

/** Columns that every kind ends with. */
export const readyColumn = conditionColumn('Ready', 'Ready', 'Whether the object acts in every MTA pod.');
export const ageColumn: Column = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'Time since the object was created.',
};
export const reasonColumn: Column = {
  name: 'Reason',
  type: 'string',
  jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
  description: 'Why it is ready or not.',
  wide: true,
};
