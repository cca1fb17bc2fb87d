import { X509Certificate } from 'node:crypto';
import type { PosternObject, ReasonOf, Route } from '../api/index.ts';
import { type ConditionInput, condition } from './conditions.ts';
import type { ConfigMapRecord, SecretRecord, Snapshot } from './model.ts';

/** A reference that leads nowhere, or to something that may not be used. */
export interface RefProblem {
  readonly reason: Exclude<ReasonOf<'ResolvedRefs'>, 'ResolvedRefs' | 'Pending'>;
  readonly message: string;
}

/** What was looked up, or why it cannot be had. */
export type Found<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: RefProblem };

/** Everything of the namespace that can be referred to. References never leave it: there is nothing else in here. */
export interface References {
  readonly routes: ReadonlyMap<string, Route>;
  /** Routes that exist and may not be used, with the reason of their Accepted condition. */
  readonly refusedRoutes: ReadonlyMap<string, string>;
  readonly secrets: ReadonlyMap<string, SecretRecord>;
  readonly configMaps: ReadonlyMap<string, ConfigMapRecord>;
}

/** Collects what can be referred to. @param refusedRoutes Route name -> reason of its Accepted condition */
export function referencesOf(
  snapshot: Snapshot,
  routes: readonly Route[],
  refusedRoutes: ReadonlyMap<string, string>,
): References {
  return {
    routes: new Map(routes.map((route) => [route.metadata.name, route])),
    refusedRoutes,
    secrets: new Map(snapshot.secrets.map((record) => [record.name, record])),
    configMaps: new Map(snapshot.configMaps.map((record) => [record.name, record])),
  };
}

/** @param field path in the referring object, for the message */
export function checkRoute(name: string, field: string, references: References): RefProblem | undefined {
  if (!references.routes.has(name)) {
    return { reason: 'RouteNotFound', message: `${field}: Route ${name} does not exist in this namespace` };
  }
  const refused = references.refusedRoutes.get(name);
  if (refused === undefined) return undefined;
  return { reason: 'RouteNotFound', message: `${field}: Route ${name} is not accepted (${refused})` };
}

/** The text of one key of a ConfigMap. */
export function readConfigMapKey(
  reference: { readonly name: string; readonly key: string },
  field: string,
  references: References,
): Found<string> {
  const record = references.configMaps.get(reference.name);
  const missing = (what: string): Found<string> => ({
    ok: false,
    problem: { reason: 'ConfigMapKeyNotFound', message: `${field}: ${what}` },
  });
  if (record === undefined) return missing(`ConfigMap ${reference.name} does not exist in this namespace`);
  const text = Object.hasOwn(record.data, reference.key) ? record.data[reference.key] : undefined;
  if (text === undefined) return missing(`ConfigMap ${reference.name} has no key ${reference.key}`);
  return { ok: true, value: text.toWellFormed() };
}

/** The CA certificates of one key of a ConfigMap: PEM text with nothing else in it. */
export function readCaBundle(
  reference: { readonly name: string; readonly key: string },
  field: string,
  references: References,
): Found<string> {
  const text = readConfigMapKey(reference, field, references);
  if (!text.ok) return text;
  const blocks =
    text.value.match(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g) ?? [];
  const bad = blocks.findIndex((block) => !isCertificate(block));
  if (blocks.length > 0 && bad < 0) return { ok: true, value: `${blocks.map(tidy).join('\n')}\n` };
  const what = blocks.length === 0 ? 'holds no PEM certificate' : `its certificate ${bad + 1} cannot be read`;
  const where = `ConfigMap ${reference.name} key ${reference.key}`;
  return { ok: false, problem: { reason: 'InvalidSourceData', message: `${field}: ${where}: ${what}` } };
}

/**
 * A Secret that says that it may be used for this: otherwise any Secret of the namespace could be sent to a host of one's
 * choice (R8).
 *
 * @param use value that its label `postern.dev/use` must have
 * @param type its type, where that matters
 */
export function readSecret(
  name: string,
  field: string,
  use: string,
  references: References,
  type?: string,
): Found<SecretRecord> {
  const record = references.secrets.get(name);
  if (record === undefined) {
    const message = `${field}: Secret ${name} does not exist in this namespace`;
    return { ok: false, problem: { reason: 'SecretNotFound', message } };
  }
  const label = Object.hasOwn(record.labels, useLabel) ? record.labels[useLabel] : undefined;
  const wrongType = type !== undefined && record.type !== type;
  if (label === use && !wrongType) return { ok: true, value: record };
  const wanted = `needs the label ${useLabel}: ${use}${type === undefined ? '' : ` and the type ${type}`}`;
  return {
    ok: false,
    problem: { reason: 'SecretNotAllowed', message: `${field}: Secret ${name} ${wanted}` },
  };
}

/** The text of one key of a Secret; undefined if it is missing. */
export function secretText(record: SecretRecord, key: string): string | undefined {
  const data = Object.hasOwn(record.data, key) ? record.data[key] : undefined;
  return data === undefined ? undefined : new TextDecoder().decode(data.reveal());
}

/** ResolvedRefs from all problems of an object: the first one's reason, and what is wrong with each. */
export function resolvedRefs(problems: readonly RefProblem[]): ConditionInput {
  const [first] = problems;
  if (first === undefined) return condition('ResolvedRefs', 'True', 'ResolvedRefs');
  const messages = [...new Set(problems.map(({ message }) => message))];
  return condition('ResolvedRefs', 'False', first.reason, messages.join('; '));
}

/** Name of an object in messages: `IpAccessList partners`. */
export function nameOf(object: PosternObject): string {
  return `${object.kind} ${object.metadata.name}`;
}

const useLabel = 'postern.dev/use';
const certificates = new Map<string, boolean>();
const maxRememberedCertificates = 4_096;

/** Parsing costs 50 us, and the same certificates come with every compilation. */
function isCertificate(pem: string): boolean {
  const known = certificates.get(pem);
  if (known !== undefined) return known;
  if (certificates.size >= maxRememberedCertificates) certificates.clear();
  const valid = parses(pem);
  certificates.set(pem, valid);
  return valid;
}

function parses(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

function tidy(block: string): string {
  return block.split(/\s*\n\s*/).join('\n');
}
