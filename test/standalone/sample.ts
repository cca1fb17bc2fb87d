/** A small folder of manifests for tests: one domain, one block list. */
export const sampleFiles: Readonly<Record<string, string>> = {
  'mta.yaml': 'heloName: mx.example.com\n',
  'domain.yaml': `apiVersion: postern.dev/v1alpha1
kind: MailDomain
metadata: {name: example-com}
spec:
  domain: example.com
  mailbox: {maildir: {}}
  recipients: {mode: List, addresses: [alice, bob]}
`,
  'block.yaml': blockList(['127.0.0.20']),
};

/** The block list of the sample, with these addresses on lines of their own. */
export function blockList(addresses: readonly string[], extra = ''): string {
  return `apiVersion: postern.dev/v1alpha1
kind: IpAccessList
metadata: {name: blocked}
spec:
  action: Block
  allDomains: true
  addresses:
${addresses.map((address) => `  - ${address}\n`).join('')}${extra}`;
}
