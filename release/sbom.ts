import { createHash } from 'node:crypto';
import * as z from 'zod';

const bill = z.looseObject({
  metadata: z.looseObject({ component: z.looseObject({ 'bom-ref': z.string(), name: z.string() }) }),
  components: z.array(z.looseObject({ 'bom-ref': z.string(), name: z.string(), version: z.string() })),
  dependencies: z.array(z.looseObject({ ref: z.string(), dependsOn: z.array(z.string()) })),
});
const lock = z.object({
  packages: z.record(z.string(), z.object({ version: z.string(), dev: z.boolean().default(false) })),
});

/**
 * What `npm sbom` prints (CycloneDX 1.5), without what only developers need, with the product's name instead of the folder's, and
 * the same bytes for the same commit. npm's own `--omit=dev` leaves out what developers need as well, zod for one.
 *
 * @param text of `npm sbom`
 * @param lockText package-lock.json
 * @param created time of the commit
 * @throws ZodError if either is something else
 */
export function billOfMaterials(text: string, lockText: string, created: Date): string {
  const { metadata, components, dependencies, ...rest } = bill.parse(JSON.parse(text));
  const shipped = new Set(
    Object.entries(lock.parse(JSON.parse(lockText)).packages)
      .filter(([, { dev }]) => !dev)
      .map(([path, { version }]) => `${path.replace(/^.*node_modules\//, '')}@${version}`),
  );
  const component = { ...metadata.component, name: 'postern' };
  const kept = components.filter(({ name, version }) => shipped.has(`${name}@${version}`));
  const refs = new Set([component['bom-ref'], ...kept.map((one) => one['bom-ref'])]);
  const edges = dependencies
    .filter(({ ref }) => refs.has(ref))
    .map((one) => ({ ...one, dependsOn: one.dependsOn.filter((ref) => refs.has(ref)) }));
  const whole = {
    ...rest,
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify([component, kept]))}`,
    metadata: { ...metadata, timestamp: created.toISOString(), component },
    components: kept,
    dependencies: edges,
  };
  return `${JSON.stringify(whole, undefined, 2)}\n`;
}

/** A UUID made of content (RFC 9562 section 5.8). */
function uuidOf(content: string): string {
  const bytes = createHash('sha256').update(content).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
