// Kubeconfig files, as JSON: every reader of YAML takes it.

export interface Access {
  /** `https://host:port` of the API server or of a proxy in front of it. */
  readonly server: string;
  /** PEM file with the certificate to trust. */
  readonly caFile: string;
  readonly identity: string;
  readonly token: string;
}

/** The text of a kubeconfig whose only context is this access. */
export function kubeconfig({ server, caFile, identity, token }: Access): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority': caFile } }],
    users: [{ name: identity, user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: identity, namespace: 'default' } }],
    'current-context': 'test',
  });
}
