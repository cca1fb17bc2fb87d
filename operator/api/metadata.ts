import * as z from 'zod';
import { objectName } from './field.ts';
import { matches, withRules } from './rule.ts';

const texts = z.record(z.string(), z.string());

/** The metadata that any Kubernetes object may carry; what Postern does not read is taken as it is. */
export const metadataSchema = z.object({
  name: objectName('Name of the object.'),
  namespace: withRules(z.string().max(63), [
    matches(
      '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
      'must be the name of a namespace: lower-case letters, digits, inner hyphens',
    ),
  ]).default('default'),
  generation: z.int().min(0).optional(),
  uid: z.string().optional(),
  creationTimestamp: z.string().optional(),
  resourceVersion: z.string().optional(),
  labels: texts.optional(),
  annotations: texts.optional(),
  deletionTimestamp: z.string().optional(),
  finalizers: z.array(z.string()).optional(),
  generateName: z.unknown().optional(),
  selfLink: z.unknown().optional(),
  deletionGracePeriodSeconds: z.unknown().optional(),
  ownerReferences: z.unknown().optional(),
  managedFields: z.unknown().optional(),
});

/** What is read, and dropped when the metadata is handed on: no part of Postern looks at it. */
const unread = [
  'generateName',
  'selfLink',
  'deletionGracePeriodSeconds',
  'ownerReferences',
  'managedFields',
] as const;

/** The metadata that Postern hands on. */
export function readMetadata(metadata: z.output<typeof metadataSchema>) {
  const kept = { ...metadata };
  for (const key of unread) delete kept[key];
  return kept;
}
