import * as z from 'zod';
import { domainName, integer, object, text } from './field.ts';
import { limits } from './limits.ts';
import { mapOf } from './list.ts';
import { type ConditionType, conditionTypes, type ReasonOf } from './reasons.ts';

/** A condition as it stands in a status: its reason belongs to its type. */
export type Condition = {
  [T in ConditionType]: {
    type: T;
    status: 'True' | 'False' | 'Unknown';
    reason: ReasonOf<T>;
    message: string;
    observedGeneration?: number | undefined;
    /** RFC 3339, seconds; changes only when `status` changes. */
    lastTransitionTime: string;
  };
}[ConditionType];

/** metav1.Condition, bound for bound as Kubernetes publishes it. */
const metav1Condition = z
  .object({
    type: z.string().max(316).meta({
      description: 'Type of the condition in CamelCase, such as Ready.',
      pattern:
        '^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$',
    }),
    status: z.enum(['True', 'False', 'Unknown']).meta({ description: 'Status of the condition.' }),
    observedGeneration: z.int().min(0).optional().meta({
      description: 'The metadata.generation that the condition was set upon.',
      format: 'int64',
      maximum: undefined,
    }),
    lastTransitionTime: z
      .string()
      .meta({ description: 'When the status of the condition changed last.', format: 'date-time' }),
    reason: z.string().min(1).max(1024).meta({
      description: 'Why, in one CamelCase word; the condition reference says what to do about each.',
      pattern: '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$',
    }),
    message: z.string().max(32768).meta({ description: 'Why, in a sentence for people; may be empty.' }),
  })
  .meta({ description: 'One aspect of the current state (metav1.Condition).' });

/** The two fields that every status begins with. */
export const commonStatus = {
  observedGeneration: integer('The metadata.generation that this status speaks about.', {
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
  }).optional(),
  conditions: mapOf('The current state, one entry per condition type.', ['type'], metav1Condition, {
    max: 32,
  })
    .transform((conditions) => conditions.filter(isKnownCondition))
    .optional(),
};

/** `status.domains` of the kinds that act on several MailDomains: conflicts and limits are per domain. */
export const domainsStatus = {
  domains: mapOf(
    'Whether each named domain takes this object.',
    ['name'],
    object('One MailDomain.', {
      name: text('Name of the MailDomain.', { min: 1, max: limits.objectNameLength }),
      domain: domainName('The domain itself; absent while the MailDomain does not exist.').optional(),
      accepted: z.boolean().meta({ description: 'Whether the object acts on mail of this domain.' }),
      reason: text('Why, a reason of the condition Accepted or ResolvedRefs.', { min: 1, max: 64 }),
      message: text('Why, in a sentence; names the object that is in the way.', { max: 1024 }).optional(),
    }),
    { max: limits.domainRefs },
  ).optional(),
  domainSummary: text('The domains in one line, for the column.', { max: 256 }).optional(),
};

/** Counter in a status. */
export function counter(description: string) {
  return integer(description, { min: 0, max: Number.MAX_SAFE_INTEGER }).optional();
}

/** A name of another object, in a status. */
export function nameInStatus(description: string) {
  return text(description, { max: limits.objectNameLength }).optional();
}

/** A digest in a status, hexadecimal. */
export function digest(description: string) {
  return text(description, { max: 64 }).optional();
}

/** Whether a stored condition is one that this version of the operator knows; others are dropped when a status is read. */
function isKnownCondition(condition: { type: string; reason: string }): condition is Condition {
  if (!isConditionType(condition.type)) return false;
  return Object.hasOwn(conditionTypes[condition.type].reasons, condition.reason);
}

/** Whether this version knows conditions of the type. */
export function isConditionType(type: string): type is ConditionType {
  return Object.hasOwn(conditionTypes, type);
}

/** What a new object says until the operator has looked at it: without these `helm --wait` takes it for ready. */
export const defaultConditions = (['Accepted', 'ResolvedRefs', 'Programmed', 'Ready'] as const).map(
  (type) => ({
    type,
    status: 'Unknown' as const,
    reason: 'Pending' as const,
    message: 'Waiting for the operator',
    lastTransitionTime: '1970-01-01T00:00:00Z',
  }),
);
