import type { PosternObject } from '../../api/index.ts';
import { secretNameOf } from '../../compile/dkim-secret.ts';
import { hopKeySecretName } from '../../compile/hop-key.ts';

/** Objects of the namespace that its policy names. Only of these is more read than the metadata. */
export interface References {
  readonly secrets: ReadonlySet<string>;
  readonly configMaps: ReadonlySet<string>;
}

/** Names of every Secret and ConfigMap that the objects refer to, and of the key of hop marks, whether they exist or not. */
export function referencesOf(objects: readonly PosternObject[]): References {
  const secrets = new Set<string>([hopKeySecretName]);
  const configMaps = new Set<string>();
  for (const object of objects) {
    for (const name of secretsOf(object)) if (name !== undefined) secrets.add(name);
    for (const name of configMapsOf(object)) if (name !== undefined) configMaps.add(name);
  }
  return { secrets, configMaps };
}

function secretsOf(object: PosternObject): (string | undefined)[] {
  switch (object.kind) {
    case 'MailDomain':
      return [object.spec.submission.accountsSecretRef?.name];
    case 'Route':
      return [object.spec.authSecretRef?.name];
    case 'DkimKey':
      return [secretNameOf(object)];
    default:
      return [];
  }
}

function configMapsOf(object: PosternObject): (string | undefined)[] {
  switch (object.kind) {
    case 'MailDomain':
      return [object.spec.recipients.configMapRef?.name];
    case 'Route':
      return [object.spec.tls.caBundleRef?.name];
    case 'IpAccessList':
      return object.spec.entriesFrom.map(({ configMapKeyRef }) => configMapKeyRef.name);
    case 'TlsPolicy':
      return [object.spec.outbound.caBundleRef?.name];
    default:
      return [];
  }
}
