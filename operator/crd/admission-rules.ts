import { dkimKey } from '../api/dkim-key.ts';
import { inboundGateway } from '../api/inbound-gateway.ts';
import { ipAccessList } from '../api/ip-access-list.ts';
import { apiVersion, group, type KindDefinition } from '../api/kind.ts';
import { mailDomain } from '../api/mail-domain.ts';
import { allowDeleteAnnotation, allowDeleteValues, route } from '../api/route.ts';
import type { AdmissionPolicy, PolicySpec } from './admission-policy.ts';

/** Annotation of a namespace: the domains that it may have (G6). */
const domainsAnnotation = 'postern.dev/domains';
/** Allow entries that are wider than these are likely to hold strangers (A9). */
const broadPrefix4 = 24;
const broadPrefix6 = 48;

/** The params are all objects of the kind in the namespace of the request; the policy is judged once for each of them. */
const eachOfTheNamespace = { selector: {}, parameterNotFoundAction: 'Allow' } as const;

/** The policies about what tenants write. */
export function objectRules(): Record<string, AdmissionPolicy> {
  return {
    'route-in-use-by-mail-domain': routeInUse(mailDomain, [
      ['spec.mailbox.routeRef', "[params.spec.mailbox.?routeRef.name.orValue('')]"],
      ['spec.inboundRouting[].routeRef', 'params.spec.?inboundRouting.orValue([]).map(r, r.routeRef.name)'],
      [
        'spec.outboundRouting[].changeRoute',
        "params.spec.?outboundRouting.orValue([]).map(r, r.?changeRoute.name.orValue(''))",
      ],
      [
        'spec.outboundRouting[].sendCopyTo',
        "params.spec.?outboundRouting.orValue([]).map(r, r.?sendCopyTo.name.orValue(''))",
      ],
    ]),
    'route-in-use-by-gateway': routeInUse(inboundGateway, [
      ['spec.routeRef', "[params.spec.?routeRef.name.orValue('')]"],
    ]),
    'platform-domain-routing': denyWrites(mailDomain, {
      expression:
        "object.spec.?ownership.orValue('Customer') != 'Platform' || size(object.spec.?inboundRouting.orValue([])) + size(object.spec.?outboundRouting.orValue([])) == 0",
      message:
        'spec.ownership: a domain with ownership Platform takes no inboundRouting and no outboundRouting: remove them, or make it a Customer domain',
    }),
    'platform-domain-gateway': denyWritesBeside(inboundGateway, mailDomain, {
      expression:
        "params.spec.?ownership.orValue('Customer') != 'Platform' || !object.spec.domainRefs.exists(r, r.name == params.metadata.name)",
      messageExpression:
        "'spec.domainRefs: MailDomain ' + params.metadata.name + ' has ownership Platform and takes no InboundGateway: remove it from the list'",
      message: 'spec.domainRefs: a domain with ownership Platform takes no InboundGateway',
    }),
    'platform-domain-dkim-key': denyWritesBeside(dkimKey, mailDomain, {
      expression:
        "params.spec.?ownership.orValue('Customer') != 'Platform' || object.spec.domainRef.name != params.metadata.name || object.spec.?fallback.orValue(false)",
      messageExpression:
        "'spec.domainRef: MailDomain ' + params.metadata.name + ' has ownership Platform and takes no DkimKey except one with fallback: true'",
      message:
        'spec.domainRef: a domain with ownership Platform takes no DkimKey except one with fallback: true',
    }),
    'mail-domain-unique': {
      policy: {
        ...spec(mailDomain, ['CREATE'], mailDomain),
        validations: [
          {
            expression:
              'params.spec.domain != object.spec.domain || params.metadata.name == object.metadata.name',
            messageExpression:
              "'spec.domain: MailDomain ' + params.metadata.name + ' of this namespace has ' + object.spec.domain + ' already: delete it first, or change it'",
            message: 'spec.domain: another MailDomain of this namespace has the domain already',
            reason: 'Forbidden',
          },
        ],
      },
      binding: { validationActions: ['Deny'], paramRef: eachOfTheNamespace },
    },
    'mail-domain-allowed': {
      policy: {
        ...spec(mailDomain, ['CREATE']),
        variables: [
          { name: 'allowed', expression: `namespaceObject.metadata.?annotations[?'${domainsAnnotation}']` },
          {
            name: 'patterns',
            expression: "variables.allowed.orValue('').split(',').map(p, p.trim().lowerAscii())",
          },
        ],
        validations: [
          {
            // Like operator/compile/domains.ts: without the annotation any domain; `*.example.com` is not example.com itself.
            expression:
              "!variables.allowed.hasValue() || variables.patterns.exists(p, p.startsWith('*.') ? object.spec.domain.endsWith(p.substring(1)) : object.spec.domain == p)",
            messageExpression: `'spec.domain: the namespace ' + namespaceObject.metadata.name + ' may not have ' + object.spec.domain + ': its annotation ${domainsAnnotation} allows ' + variables.patterns.join(', ')`,
            message: `spec.domain: the annotation ${domainsAnnotation} of the namespace does not allow the domain`,
            reason: 'Forbidden',
          },
        ],
      },
      binding: { validationActions: ['Deny'] },
    },
    'broad-range': warning(ipAccessList, {
      variables: [
        {
          name: 'broad',
          expression: `(object.spec.?addresses.orValue([]) + object.spec.?entries.orValue([]).map(e, e.address)).filter(a, a.contains('/') && isCIDR(a) && cidr(a).prefixLength() < (a.contains(':') ? ${broadPrefix6} : ${broadPrefix4}))`,
        },
      ],
      validations: [
        {
          expression: "object.spec.action != 'Allow' || size(variables.broad) == 0",
          messageExpression: `variables.broad[0] + ' is wider than /${broadPrefix4} (IPv6: /${broadPrefix6}): mail from everybody in it will pass the spam filter'`,
          message: `an entry is wider than /${broadPrefix4} (IPv6: /${broadPrefix6}): mail from everybody in it will pass the spam filter`,
        },
      ],
    }),
    'weak-key': warning(dkimKey, {
      validations: [
        {
          expression: 'object.spec.?keyLength.orValue(2048) != 1024',
          message:
            'spec.keyLength: receivers may ignore signatures of 1024 bits: use 2048 unless the DNS host cannot store it',
        },
      ],
    }),
    'suppressed-report': warning(mailDomain, {
      validations: [
        {
          expression: "object.spec.?inboundRouting.orValue([]).all(r, r.?ndr.orValue('Auto') != 'Never')",
          message:
            'spec.inboundRouting: ndr Never loses mail that the Route refuses without telling its sender; it is counted in status.ledger only',
        },
      ],
    }),
  };
}

/**
 * R3: DELETE of a Route is refused while an object of the kind names it, unless the Route has the annotation
 * postern.dev/allow-delete, or its whole namespace goes.
 *
 * @param fields every field of the kind that names Routes: its path, and CEL for the list of names in it
 */
function routeInUse(user: KindDefinition, fields: readonly (readonly [string, string])[]): AdmissionPolicy {
  const uses = fields.map(([path, names]) => `(oldObject.metadata.name in ${names} ? ['${path}'] : [])`);
  return {
    policy: {
      ...spec(route, ['DELETE'], user),
      variables: [{ name: 'fields', expression: uses.join(' + ') }],
      validations: [
        {
          expression: `size(variables.fields) == 0 || oldObject.metadata.?annotations[?'${allowDeleteAnnotation}'].orValue('') in ${JSON.stringify(Object.values(allowDeleteValues))} || has(namespaceObject.metadata.deletionTimestamp)`,
          messageExpression: `'Route ' + oldObject.metadata.name + ' is used by ${user.kind} ' + params.metadata.name + ' (' + variables.fields.join(', ') + '): change that first, or set the annotation ${allowDeleteAnnotation}=true on the Route'`,
          message: `the Route is used by an object of kind ${user.kind}`,
          reason: 'Forbidden',
        },
      ],
    },
    binding: { validationActions: ['Deny'], paramRef: eachOfTheNamespace },
  };
}

function denyWrites(kind: KindDefinition, validation: PolicySpec['validations'][number]): AdmissionPolicy {
  return {
    policy: { ...spec(kind, ['CREATE', 'UPDATE']), validations: [{ ...validation, reason: 'Forbidden' }] },
    binding: { validationActions: ['Deny'] },
  };
}

/** Like denyWrites, judged beside each object of another kind. */
function denyWritesBeside(
  kind: KindDefinition,
  other: KindDefinition,
  validation: PolicySpec['validations'][number],
): AdmissionPolicy {
  return {
    policy: {
      ...spec(kind, ['CREATE', 'UPDATE'], other),
      validations: [{ ...validation, reason: 'Forbidden' }],
    },
    binding: { validationActions: ['Deny'], paramRef: eachOfTheNamespace },
  };
}

/** Says something to whoever writes, and stands in nobody's way: a warning that cannot be worked out is left out. */
function warning(
  kind: KindDefinition,
  rules: Pick<PolicySpec, 'variables' | 'validations'>,
): AdmissionPolicy {
  return {
    policy: { ...spec(kind, ['CREATE', 'UPDATE']), failurePolicy: 'Ignore', ...rules },
    binding: { validationActions: ['Warn'] },
  };
}

function spec(
  kind: KindDefinition,
  operations: readonly string[],
  params?: KindDefinition,
): Pick<PolicySpec, 'failurePolicy' | 'paramKind' | 'matchConstraints'> {
  return {
    failurePolicy: 'Fail',
    ...(params === undefined ? {} : { paramKind: { apiVersion, kind: params.kind } }),
    matchConstraints: {
      resourceRules: [{ apiGroups: [group], apiVersions: ['*'], operations, resources: [kind.plural] }],
    },
  };
}
