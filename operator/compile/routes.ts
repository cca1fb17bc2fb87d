import type { SecretBundle } from '../../bundle/policy-bundle.ts';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import type { Route } from '../api/index.ts';
import { type ConditionInput, condition } from './conditions.ts';
import type { Snapshot } from './model.ts';
import { sourceOf } from './objects.ts';
import {
  type References,
  type RefProblem,
  readCaBundle,
  readSecret,
  resolvedRefs,
  secretText,
} from './references.ts';
import { fullHost, hostFault } from './route-host.ts';

/** One Route, compiled. */
export interface CompiledRoute {
  readonly object: Route;
  /**
   * Undefined if it may not or cannot be used as written. Mail for it waits in the queue then: delivering without the
   * password, or with another trust, would be worse than late.
   */
  readonly policy: RoutePolicy | undefined;
  readonly auth?: SecretBundle['routeAuth'][string] & { readonly revision: string };
  readonly accepted: ConditionInput;
  readonly resolvedRefs: ConditionInput;
}

const authUse = 'route-auth';
const authType = 'kubernetes.io/basic-auth';

/** The condition Accepted of a Route. */
export function admitRoute(object: Route, snapshot: Snapshot): ConditionInput {
  const fault = hostFault(fullHost(object.spec.host, snapshot.namespace, snapshot.options), snapshot.options);
  if (fault === undefined) return condition('Accepted', 'True', 'Accepted');
  return condition('Accepted', 'False', 'HostNotAllowed', `spec.host: ${fault}`);
}

/** Compiles one Route. @param accepted from `admitRoute` */
export function compileRoute(
  object: Route,
  accepted: ConditionInput,
  snapshot: Snapshot,
  references: References,
): CompiledRoute {
  const { name } = object.metadata;
  const { spec } = object;
  const problems: RefProblem[] = [];
  const caRef = spec.tls.caBundleRef;
  const ca = caRef === undefined ? undefined : readCaBundle(caRef, 'spec.tls.caBundleRef', references);
  if (ca?.ok === false) problems.push(ca.problem);
  const auth = spec.authSecretRef === undefined ? undefined : readAuth(spec.authSecretRef.name, references);
  if (auth?.ok === false) problems.push(auth.problem);

  const usable = accepted.status === 'True' && problems.length === 0;
  const policy: RoutePolicy = {
    name,
    source: sourceOf(object),
    host: fullHost(spec.host, snapshot.namespace, snapshot.options),
    port: spec.port,
    protocol: spec.protocol,
    lookupMx: spec.lookupMx,
    tls: {
      mode: spec.tls.mode,
      verify: spec.tls.verify,
      ...(ca?.ok === true ? { caBundle: ca.value } : {}),
      ...(spec.tls.serverName === undefined ? {} : { serverName: spec.tls.serverName }),
    },
    authenticated: auth !== undefined,
    connection: { ...spec.connection },
  };
  return {
    object,
    policy: usable ? policy : undefined,
    ...(usable && auth?.ok === true ? { auth: auth.value } : {}),
    accepted,
    resolvedRefs: resolvedRefs(problems),
  };
}

function readAuth(name: string, references: References) {
  const field = 'spec.authSecretRef';
  const record = readSecret(name, field, authUse, references, authType);
  if (!record.ok) return record;
  const username = secretText(record.value, 'username');
  const password = secretText(record.value, 'password');
  if (username === undefined || password === undefined) {
    const message = `${field}: Secret ${name} lacks the key ${username === undefined ? 'username' : 'password'}`;
    return { ok: false as const, problem: { reason: 'SecretNotFound' as const, message } };
  }
  return { ok: true as const, value: { username, password, revision: `${name}@${record.value.revision}` } };
}
