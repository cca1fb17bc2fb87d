// The repository of a tenant who keeps manifests of the six kinds, in the waves of docs/install.md.
import { stringify } from 'yaml';
import type { Files } from './repository.ts';

const apiVersion = 'postern.dev/v1alpha1';
const domainRefs = [{ name: 'example-com' }];

function manifest(kind: string, wave: number, spec: object, name = 'example-com'): string {
  const annotations = { 'argocd.argoproj.io/sync-wave': String(wave) };
  return stringify({ apiVersion, kind, metadata: { name, annotations }, spec });
}

/** What stays when all policy goes: Argo CD does not empty an Application by itself. */
export const people = {
  'mail/people.yaml': stringify({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'people' },
    data: { recipients: 'alice\nbob\n' },
  }),
};

/** A list of addresses that are blocked for example.com. */
export function blockList(addresses: readonly string[]): Files {
  const spec = { action: 'Block', enforcement: 'Enforce', domainRefs, addresses };
  return { 'mail/list.yaml': manifest('IpAccessList', 2, spec) };
}

/** One object of each kind; the Route is in use. */
export const policy: Files = {
  'mail/route.yaml': manifest('Route', 0, { host: 'mail.archive.example', tls: { mode: 'Required' } }),
  'mail/domain.yaml': manifest('MailDomain', 1, {
    domain: 'example.com',
    mailbox: { maildir: {} },
    recipients: { mode: 'List', configMapRef: { name: 'people', key: 'recipients' } },
    inboundRouting: [{ match: 'External', target: 'Unknown', routeRef: { name: 'example-com' } }],
    authentication: { spf: 'Disabled', dkim: 'Disabled', dmarc: 'Disabled' },
  }),
  ...blockList(['127.0.0.20']),
  'mail/gateway.yaml': manifest('InboundGateway', 2, { domainRefs, addresses: ['127.0.0.90'] }),
  'mail/tls.yaml': manifest('TlsPolicy', 2, {
    title: 'Mail with the bank is never readable on the way',
    domainRefs,
    directions: ['Inbound'],
    peerDomains: ['bank.example'],
  }),
  'mail/key.yaml': manifest('DkimKey', 3, { domainRef: { name: 'example-com' }, selector: 'one' }),
};

/** A domain on a mail server that nobody has installed. */
export const lostDomain: Files = {
  'lost/domain.yaml': manifest(
    'MailDomain',
    0,
    {
      domain: 'lost.example',
      mta: 'nowhere',
      mailbox: { maildir: {} },
      recipients: { mode: 'List', addresses: ['carol'] },
    },
    'lost',
  ),
};
