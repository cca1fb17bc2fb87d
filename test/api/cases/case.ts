import { apiVersion, type KindName } from '../../../operator/api/index.ts';

/** A manifest, and what both the zod parse and the real API server must say about it. */
export type Case = {
  title: string;
  manifest: Manifest;
  /** Part of the message with which it is refused; absent: it is accepted. */
  refused?: string;
};

export type Manifest = {
  apiVersion: string;
  kind: KindName;
  metadata: { name: string; [field: string]: unknown };
  spec?: unknown;
  [field: string]: unknown;
};

type Fields = Record<string, unknown>;

/**
 * Builders for cases of one kind.
 *
 * @param base a spec that is accepted; a case changes its fields (`undefined` removes one)
 */
export function casesOf(kind: KindName, base: Fields) {
  const manifest = (change: Fields): Manifest => ({
    apiVersion,
    kind,
    metadata: { name: 'case' },
    spec: { ...base, ...change },
  });
  return {
    good: (title: string, change: Fields): Case => ({ title, manifest: manifest(change) }),
    bad: (title: string, refused: string, change: Fields): Case => ({
      title,
      manifest: manifest(change),
      refused,
    }),
  };
}

/** `count` different values made from their index. */
export function many<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

/** Different IPv4 addresses. */
export function address(index: number): string {
  return `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
}

/** Different IPv6 /64 networks, written long. */
export function network6(index: number): string {
  return `2001:db8:${(index >> 8).toString(16)}:${(index & 255).toString(16)}::/64`;
}

/** A domain name of exactly `length` characters. */
export function longDomain(length: number): string {
  const end = '.example';
  const labels: string[] = [];
  let left = length - end.length;
  while (left > 63) {
    labels.push('a'.repeat(62));
    left -= 63;
  }
  labels.push('b'.repeat(left));
  return labels.join('.') + end;
}
