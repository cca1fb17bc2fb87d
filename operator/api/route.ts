import {
  configMapKey,
  flag,
  hostName,
  hostOrAddress,
  integer,
  object,
  oneOf,
  reference,
  text,
} from './field.ts';
import { ageColumn, conditionColumn, defineKind, readyColumn, reasonColumn } from './kind.ts';
import { limits } from './limits.ts';
import { listOf } from './list.ts';
import { withRules } from './rule.ts';
import { commonStatus, counter } from './status.ts';
import { parseStrictIp } from './strict-address.ts';

const tls = withRules(
  object('How the connection is secured.', {
    mode: oneOf(
      'Opportunistic: STARTTLS if offered. Required: STARTTLS or no delivery. Implicit: TLS from the first byte.',
      ['Disabled', 'Opportunistic', 'Required', 'Implicit'],
    ).default('Opportunistic'),
    verify: oneOf('What of the server certificate must be right; needs mode Required or Implicit.', [
      'None',
      'TrustedCA',
      'Hostname',
      'TrustedCAAndHostname',
    ]).default('None'),
    caBundleRef: configMapKey(
      'ConfigMap with the PEM certificates of the trusted CAs. Unset: those of the system.',
      'ca.crt',
    ).optional(),
    serverName: hostName(
      'Name to ask for (SNI) and to find in the certificate, where it differs from the host.',
    ).optional(),
  }),
  [
    {
      cel: "self.verify == 'None' || self.mode == 'Required' || self.mode == 'Implicit'",
      message: 'must be None unless tls.mode is Required or Implicit',
      holds: (self) => self.verify === 'None' || self.mode === 'Required' || self.mode === 'Implicit',
      field: 'verify',
    },
    {
      cel: "!has(self.caBundleRef) || self.verify == 'TrustedCA' || self.verify == 'TrustedCAAndHostname'",
      message: 'may only be set when tls.verify is TrustedCA or TrustedCAAndHostname',
      holds: (self) =>
        self.caBundleRef === undefined ||
        self.verify === 'TrustedCA' ||
        self.verify === 'TrustedCAAndHostname',
      field: 'caBundleRef',
    },
    {
      cel: "!has(self.serverName) || self.mode != 'Disabled'",
      message: 'may not be set when tls.mode is Disabled',
      holds: (self) => self.serverName === undefined || self.mode !== 'Disabled',
      field: 'serverName',
    },
  ],
);

const spec = withRules(
  object('The next hop.', {
    host: hostOrAddress(
      'Host name or IP address. A name without a dot is a Service of the same namespace. Link-local, loopback and API server addresses are refused unless the operator allows them.',
    ),
    port: integer('TCP port.', { min: 1, max: 65_535 }).default(25),
    protocol: oneOf('LMTP answers for each recipient apart and never uses port 25.', [
      'SMTP',
      'LMTP',
    ]).default('SMTP'),
    lookupMx: flag('Deliver to the MX hosts of the host name instead of to the host itself.').default(false),
    tls: tls.prefault({}),
    authSecretRef: reference(
      'Secret of type kubernetes.io/basic-auth with label postern.dev/use: route-auth; needs tls.mode Required or Implicit.',
      'Secret',
    ).optional(),
    connection: object('How the host is spoken to.', {
      maxConcurrent: integer('Connections of one pod at a time.', { min: 1, max: 100 }).default(10),
      timeoutSeconds: integer('Seconds without an answer after which the attempt is given up.', {
        min: 5,
        max: 600,
      }).default(300),
    }).prefault({}),
    note: text('Free text for people.', { max: limits.noteLength }).optional(),
  }),
  [
    {
      cel: '!self.lookupMx || !isIP(self.host)',
      message: 'may not be true when host is an IP address',
      holds: (self) => !self.lookupMx || parseStrictIp(self.host) === undefined,
      field: 'lookupMx',
    },
    {
      cel: "!self.lookupMx || self.protocol == 'SMTP'",
      message: 'may not be true with protocol LMTP, which has no MX',
      holds: (self) => !self.lookupMx || self.protocol === 'SMTP',
      field: 'lookupMx',
    },
    {
      cel: "self.protocol != 'LMTP' || self.port != 25",
      message: 'must not be 25 with protocol LMTP (RFC 2033): write the port of the LMTP server, often 24',
      holds: (self) => self.protocol !== 'LMTP' || self.port !== 25,
      field: 'port',
    },
    {
      cel: "!has(self.authSecretRef) || self.tls.mode == 'Required' || self.tls.mode == 'Implicit'",
      message:
        'may only be set when tls.mode is Required or Implicit: a password is never sent in clear text',
      holds: (self) =>
        self.authSecretRef === undefined || self.tls.mode === 'Required' || self.tls.mode === 'Implicit',
      field: 'authSecretRef',
    },
  ],
);

const status = object('What is true in the running pods.', {
  ...commonStatus,
  usedByCount: counter('References to this Route.'),
  usedBy: listOf(
    'The first of them; a Route in use cannot be deleted.',
    object('One reference.', {
      kind: oneOf('Kind of the object.', ['MailDomain', 'InboundGateway']),
      name: text('Its name.', { min: 1, max: limits.objectNameLength }),
      field: text('The field that names the Route.', { max: 128 }).optional(),
    }),
    { max: limits.usedBy },
  ).optional(),
});

/** On a Route: whether it may be deleted although something names it (R3). */
export const allowDeleteAnnotation = 'postern.dev/allow-delete';
/**
 * `true`: it is gone at once. `when-unused`: the API server takes the DELETE, and the finalizer holds the Route, which goes on
 * working, until nothing names it. For tools that delete a MailDomain and its Route in one go: an admission policy may still see the
 * MailDomain for a moment, and would refuse the second of the two.
 */
export const allowDeleteValues = { atOnce: 'true', whenUnused: 'when-unused' } as const;

export const route = defineKind({
  kind: 'Route',
  shortNames: ['mroute'],
  description:
    'A next hop for mail: a mailbox server, a gateway, an archive. MailDomains and InboundGateways name it.',
  columns: [
    { name: 'Host', type: 'string', jsonPath: '.spec.host', description: 'Where it leads.' },
    { name: 'Port', type: 'integer', jsonPath: '.spec.port', description: 'TCP port.' },
    {
      name: 'TLS',
      type: 'string',
      jsonPath: '.spec.tls.mode',
      description: 'How the connection is secured.',
    },
    { name: 'Used-By', type: 'integer', jsonPath: '.status.usedByCount', description: 'References to it.' },
    readyColumn,
    reasonColumn,
    { ...conditionColumn('Reachable', 'Reachable', 'Whether the pods can open a session.'), wide: true },
    ageColumn,
  ],
  selectableFields: ['.spec.host'],
  conditions: ['Accepted', 'ResolvedRefs', 'Programmed', 'Ready', 'InUse', 'Reachable'],
  spec,
  status,
});
