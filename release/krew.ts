import { stringify } from 'yaml';
import { type Platform, pluginProgram } from './plugin.ts';

interface KrewInput {
  readonly version: string;
  /** Where the archives will be. */
  readonly url: string;
  /** Names of the archives. */
  readonly archives: ReadonlyMap<Platform, string>;
  /** SHA-256 in hex, by file. */
  readonly sums: ReadonlyMap<string, string>;
}

const description = `Mail policy for Kubernetes. "kubectl postern status" shows every object of Postern in a namespace with its
conditions, "explain" what would become of a mail and why, "why REF" which object a refusal came from, "dns --check" which
records to publish and what is wrong with those that are, "queue" what waits to be delivered.
`;

/** The manifest by which krew installs `kubectl postern` (krew.googlecontainertools.github.com/v1alpha2). */
export function krewManifest({ version, url, archives, sums }: KrewInput): string {
  return stringify({
    apiVersion: 'krew.googlecontainertools.github.com/v1alpha2',
    kind: 'Plugin',
    metadata: { name: 'postern' },
    spec: {
      version: `v${version}`,
      homepage: 'https://postern.dev',
      shortDescription: 'Explain, check and operate mail policy',
      description,
      platforms: [...archives].map(([platform, archive]) => {
        const [os, arch] = platform.split('-');
        return {
          selector: { matchLabels: { os, arch } },
          uri: `${url}/${archive}`,
          sha256: sums.get(archive),
          bin: pluginProgram,
        };
      }),
    },
  });
}
