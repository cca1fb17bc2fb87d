import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { expect, it } from 'vitest';
import { publicKeyOf } from '../compile/dkim-public-key.ts';
import { dkimKeySecret, generateDkimKey, generateKey, keySecret } from './keys.ts';

const want = {
  kind: 'createKey',
  dkimKey: 'k',
  domain: 'a.test',
  selector: 'postern',
  algorithm: 'RSA',
  bits: 2048,
  secretName: 'postern-dkim-k',
} as const;

it.each([
  ['RSA', 1024],
  ['RSA', 2048],
  ['Ed25519', 256],
] as const)(
  'K4, K15: an %s key of %i bits is PKCS#8, and what it signs verifies with its record',
  async (algorithm, bits) => {
    const { privateKeyPem } = await generateDkimKey({ algorithm, bits });
    expect(privateKeyPem).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    const publicKey = publicKeyOf(privateKeyPem);
    expect(publicKey).toMatchObject({ algorithm, bits });
    const p = Buffer.from(publicKey?.p ?? '', 'base64');
    const imported =
      algorithm === 'RSA'
        ? createPublicKey({ key: p, format: 'der', type: 'spki' })
        : createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: p.toString('base64url') }, format: 'jwk' });
    const digest = algorithm === 'RSA' ? 'sha256' : null;
    const signature = sign(digest, Buffer.from('mail'), createPrivateKey(privateKeyPem));
    expect(verify(digest, Buffer.from('mail'), imported, signature)).toBe(true);
  },
);

it('making a key leaves the event loop free', async () => {
  let turned = false;
  setImmediate(() => {
    turned = true;
  });
  await generateDkimKey({ algorithm: 'RSA', bits: 2048 });
  expect(turned).toBe(true);
});

it('K5: the Secret of a key has no owner, and is bound to domain and selector', async () => {
  const { privateKeyPem } = await generateDkimKey({ algorithm: 'RSA', bits: 1024 });
  const manifest = dkimKeySecret('mail', want, privateKeyPem);
  expect(manifest).toEqual({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: 'postern-dkim-k',
      namespace: 'mail',
      labels: { 'app.kubernetes.io/managed-by': 'postern', 'postern.dev/use': 'dkim-key' },
      annotations: {
        'postern.dev/dkim-domain': 'a.test',
        'postern.dev/dkim-selector': 'postern',
        'postern.dev/public-key-sha256': publicKeyOf(privateKeyPem)?.publicKeySHA256,
      },
    },
    type: 'Opaque',
    data: { 'tls.key': Buffer.from(privateKeyPem).toString('base64') },
  });
});

it('G10: the key of hop marks is random, and its Secret has no owner', async () => {
  const wanted = { kind: 'createHopKey', secretName: 'postern-hop-key' } as const;
  const [{ key }, other] = [await generateKey(wanted), await generateKey(wanted)];
  expect(key).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(other.key).not.toBe(key);
  expect(keySecret('mail', wanted, key)).toEqual({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: 'postern-hop-key',
      namespace: 'mail',
      labels: { 'app.kubernetes.io/managed-by': 'postern', 'postern.dev/use': 'hop-key' },
    },
    type: 'Opaque',
    data: { key: Buffer.from(key).toString('base64') },
  });
});

it('a text that is no key is refused, and not repeated in the error', () => {
  expect(() => dkimKeySecret('mail', want, 'hunter2')).toThrow(/^DkimKey k: (?!.*hunter2)/);
});
