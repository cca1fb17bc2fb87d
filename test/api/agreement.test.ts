import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { apiVersion, kinds, parseObject, problemText } from '../../operator/api/index.ts';
import { isAccessAddress } from '../../operator/api/strict-address.ts';
import { kindSchema } from '../../operator/crd/crd.ts';
import type { Manifest } from './cases/case.ts';
import { cases } from './cases.ts';
import { addressLike, changesOf, withChange } from './samples.ts';
import { useCrdServer } from './server.ts';

const server = useCrdServer();

const manifestOf = (kind: Manifest['kind'], spec: unknown): Manifest => ({
  apiVersion,
  kind,
  metadata: { name: 'sample' },
  spec,
});

describe('both halves of a rule agree on values that nobody thought of', () => {
  test('A3: strict addresses are what isIP, isCIDR and cidr().masked() take', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(addressLike, { minLength: 100, maxLength: 100 }), async (addresses) => {
        const spec = { action: 'Block', allDomains: true, addresses };
        const answer = await server.tryCreate(manifestOf('IpAccessList', spec));
        const message = answer.ok ? '' : answer.message;
        const refused = addresses.filter((_, index) => message.includes(`spec.addresses[${index}]: `));
        expect(refused).toEqual(addresses.filter((address) => !isAccessAddress(address)));
      }),
      { numRuns: 10 },
    );
  });

  test.each(kinds)('$kind: accepted manifests with one to three fields changed', async (kind) => {
    const accepted = cases
      .filter(({ manifest, refused }) => manifest.kind === kind.kind && refused === undefined)
      .map(({ manifest }) => manifest.spec)
      // The long lists are tried in the table; here they would only take time.
      .filter((spec) => JSON.stringify(spec).length < 10_000);
    const changes = fc.array(changesOf(kindSchema(kind).spec), { minLength: 1, maxLength: 3 });

    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...accepted), changes, async (spec, made) => {
        const manifest = manifestOf(kind.kind, made.reduce(withChange, spec));
        const parsed = parseObject(kind.kind, JSON.parse(JSON.stringify(manifest)));
        const answer = await server.tryCreate(manifest);
        const zod = parsed.ok ? 'accepted' : parsed.problems.map(problemText).join('\n');
        const words = `zod: ${zod}\nserver: ${answer.ok ? 'accepted' : answer.message}`;
        expect(answer.ok, words).toBe(parsed.ok);
        if (parsed.ok && answer.ok) expect(parsed.object.spec).toEqual(answer.spec);
        if (!parsed.ok && !answer.ok) {
          expect(
            parsed.problems.some(({ path }) => answer.message.includes(path)),
            words,
          ).toBe(true);
        }
      }),
      { numRuns: Number(process.env['POSTERN_AGREEMENT_RUNS'] ?? 200) },
    );
  });
});
