import * as z from 'zod';
import { limits } from './limits.ts';
import { mapOf } from './list.ts';
import { matches, withRules } from './rule.ts';
import { isAccessAddress, parseStrictIp } from './strict-address.ts';

/**
 * The bounded building blocks of every kind. Each takes the description first, because a field without one is a defect,
 * and none can be made without its limits, because an unbounded string makes a CEL rule too expensive to install.
 */

const label = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
/** The last label begins with a letter, so no IPv4 address is taken for a domain. */
const lastLabel = '[a-z]([a-z0-9-]{0,61}[a-z0-9])?';
const domain = `(${label}\\.)+${lastLabel}`;
const atom = "[A-Za-z0-9#$&'*+/=?^_`{|}~-]+";
const localPart = `${atom}(\\.${atom})*`;

const monthAndDay =
  '((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))';
const leapDay = '([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29';
const clock = '([01][0-9]|2[0-3]):[0-5][0-9]';
const timePattern = `^([0-9]{4}-${monthAndDay}|${leapDay})T${clock}:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]${clock})$`;

const domainMessage =
  'must be a domain name in lower case such as example.com; write xn--... for other scripts';

/** Text of bounded length, counted in characters (code points) as the API server counts. */
export function text(description: string, length: { min?: number; max: number }): z.ZodString {
  const { min, max } = length;
  const bounded = z.string().superRefine((value, context) => {
    const size = countCharacters(value, max);
    if (size > max) context.addIssue({ code: 'too_big', origin: 'string', maximum: max, input: value });
    if (min !== undefined && size < min) {
      context.addIssue({ code: 'too_small', origin: 'string', minimum: min, input: value });
    }
  });
  return bounded.meta({ description, ...(min === undefined ? {} : { minLength: min }), maxLength: max });
}

/** A lower-case domain name of at least two labels, in its A-label form. */
export function domainName(description: string): z.ZodString {
  const bounded = text(description, { min: 3, max: limits.domainLength });
  return withRules(bounded, [matches(`^${domain}$`, domainMessage)]);
}

/** A domain name that may begin with `*.`. */
export function peerDomain(description: string): z.ZodString {
  const bounded = text(description, { min: 3, max: limits.domainLength });
  return withRules(bounded, [
    matches(
      `^(\\*\\.)?${domain}$`,
      'must be a domain name in lower case, after an optional leading *.; write xn--... for other scripts',
    ),
  ]);
}

/** A host name of one or more labels, or an address without brackets. */
export function hostOrAddress(description: string): z.ZodString {
  const pattern = `^(${label}\\.)*${label}$`;
  const expression = new RegExp(pattern, 'u');
  const allNumeric = /^[0-9.]+$/u;
  return withRules(text(description, { min: 1, max: limits.domainLength }), [
    {
      cel: `isIP(self) || (self.matches(r"${pattern}") && !self.matches(r"^[0-9.]+$"))`,
      message: 'must be a host name in lower case or an IP address, without brackets and port',
      holds: (host) => parseStrictIp(host) !== undefined || (expression.test(host) && !allNumeric.test(host)),
    },
  ]);
}

/** A host name of at least two labels. */
export function hostName(description: string): z.ZodString {
  return withRules(text(description, { min: 3, max: limits.domainLength }), [
    matches(`^${domain}$`, 'must be a full host name in lower case such as mx.example.com'),
  ]);
}

/** A mail address: plain local part, "@", lower-case domain. Route operators (`%`, `!`) and quoted parts are not taken. */
export function mailAddress(description: string): z.ZodString {
  return withRules(text(description, { min: 5, max: limits.mailAddressLength }), [
    matches(
      `^${localPart}@${domain}$`,
      'must be a mail address such as admin@example.com, its domain in lower case',
    ),
  ]);
}

/** A mail address, or its local part alone. */
export function recipientAddress(description: string): z.ZodString {
  return withRules(text(description, { min: 1, max: limits.mailAddressLength }), [
    matches(
      `^${localPart}(@${domain})?$`,
      'must be a local part such as alice, or a mail address with its domain in lower case',
    ),
  ]);
}

/** An entry of an IP list: an address, or a CIDR with a prefix over 0 and without host bits (A3). */
export function accessAddress(description: string): z.ZodString {
  return withRules(text(description, { min: 2, max: limits.addressLength }), [
    {
      cel: 'isIP(self) || (isCIDR(self) && cidr(self).prefixLength() > 0 && cidr(self) == cidr(self).masked())',
      message:
        'must be an IP address or a CIDR with a prefix over 0 and no host bits, such as 192.0.2.1 or 192.0.2.0/24 (no leading zeros, no ::ffff: form)',
      holds: isAccessAddress,
    },
  ]);
}

/** An object with a fixed set of fields. */
export function object<Shape extends z.ZodRawShape>(description: string, shape: Shape) {
  return z.object(shape).meta({ description });
}

/** One of a few words. */
export function oneOf<const Words extends readonly [string, ...string[]]>(description: string, words: Words) {
  return z.enum(words).meta({ description });
}

/** A whole number within bounds, both included. */
export function integer(description: string, bounds: { min: number; max: number }): z.ZodInt {
  return z.int().min(bounds.min).max(bounds.max).meta({ description });
}

/** Yes or no. */
export function flag(description: string): z.ZodBoolean {
  return z.boolean().meta({ description });
}

/**
 * A point in time, RFC 3339 with seconds and an offset, on a day that exists. A pattern alone, because the API server takes
 * an empty list for a string of `format: date-time`.
 */
export function time(description: string): z.ZodString {
  const written = new RegExp(timePattern, 'u');
  const bounded = text(description, { max: 35 }).superRefine((value, context) => {
    if (written.test(value)) return;
    context.addIssue({
      code: 'invalid_format',
      format: 'regex',
      origin: 'string',
      pattern: timePattern,
      input: value,
    });
  });
  return bounded.meta({ description, pattern: timePattern, maxLength: 35, 'x-postern-format': 'date-time' });
}

/** The name of an object of the same namespace (RFC 1123 subdomain). */
export function objectName(description: string): z.ZodString {
  const name = '[a-z0-9]([a-z0-9-]*[a-z0-9])?';
  return withRules(text(description, { min: 1, max: limits.objectNameLength }), [
    matches(
      `^${name}(\\.${name})*$`,
      'must be the name of an object: lower-case letters, digits, inner hyphens and dots',
    ),
  ]);
}

/** A reference to an object of the same namespace; references never cross namespaces. */
export function reference(description: string, kind: string) {
  return object(description, { name: objectName(`Name of the ${kind} in the same namespace.`) });
}

/** A reference to one key of a ConfigMap of the same namespace. */
export function configMapKey(description: string, defaultKey: string) {
  return object(description, {
    name: objectName('Name of the ConfigMap in the same namespace.'),
    key: dataKey('Key in its data.').default(defaultKey),
  });
}

/** The MailDomains a policy is for. */
export function domainRefs(description: string) {
  return mapOf(description, ['name'], reference('One MailDomain.', 'MailDomain'), {
    min: 1,
    max: limits.domainRefs,
  });
}

/** Whether a policy acts or only counts (G15). */
export function enforcement(auditMeans: string) {
  return oneOf(
    `Enforce: the policy acts. Audit: what would happen is counted and marked, and nothing changes. ${auditMeans}`,
    ['Enforce', 'Audit'],
  ).default('Enforce');
}

/** Key of a ConfigMap or Secret. */
function dataKey(description: string): z.ZodString {
  return withRules(text(description, { min: 1, max: limits.objectNameLength }), [
    matches('^[-._a-zA-Z0-9]+$', 'must be a key: letters, digits, hyphens, underscores and dots'),
  ]);
}

/** Code points, not UTF-16 units; long texts are not counted beyond what decides. */
function countCharacters(value: string, max: number): number {
  if (value.length <= max && !/[\ud800-\udfff]/.test(value)) return value.length;
  let count = 0;
  for (const _ of value) count += 1;
  return count;
}
