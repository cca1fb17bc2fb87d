import fc from 'fast-check';
import type { Structural } from '../../operator/crd/structural.ts';
import { badAddresses, goodAddresses } from './cases/addresses.ts';

/** Texts that are right for some field, nearly right, or odd: any of them may be put into any field. */
const words = fc.constantFrom(
  'example.com',
  '*.partner.example',
  'xn--bcher-kva.example',
  'Example.com',
  'bücher.example',
  'mail',
  'a',
  '',
  '-',
  '-a',
  'a-',
  'a.',
  '.a',
  'a..b',
  'a_b',
  'admin@example.com',
  'admin@',
  '@example.com',
  'a@b@example.com',
  "o'neil",
  '"a b"',
  'a%b',
  'http://rspamd:11333',
  'https://[2001:db8::1]/x',
  'ftp://x',
  'X-Spam-Flag',
  'X-',
  'Subject',
  'YES',
  'a b',
  ' a',
  'a\n',
  'a\r\nb',
  '\u0000',
  '\u2028',
  '\u{1f4ec}',
  '__proto__',
  '[section]',
  '\\',
  '2026-12-31T23:59:59Z',
  '2026-02-30T00:00:00Z',
  ...goodAddresses,
  ...badAddresses,
);

const addressCharacters = fc.constantFrom(...'0123456789abcdefABCDEF:./%-xg ٣');
const randomAddress = fc
  .array(addressCharacters, { minLength: 2, maxLength: 43 })
  .map((characters) => characters.join(''));
const octet = fc.oneof(fc.integer({ min: 0, max: 300 }).map(String), fc.constantFrom('00', '01', '', '1e1'));
const dotted = fc.array(octet, { minLength: 3, maxLength: 5 }).map((octets) => octets.join('.'));
const group = fc.oneof(
  fc.integer({ min: 0, max: 0x1ffff }).map((value) => value.toString(16)),
  fc.constantFrom('', '0', '0000', '00000', 'FFFF'),
);
const colons = fc
  .tuple(fc.array(group, { minLength: 1, maxLength: 9 }), fc.option(dotted, { freq: 4 }))
  .map(([groups, end]) => (end === null ? groups : [...groups, end]).join(':'));
const suffix = fc.oneof(
  fc.constant(''),
  fc.integer({ min: 0, max: 140 }).map((length) => `/${length}`),
  fc.constantFrom('/', '/0', '/00', '/8', '/-1', '%eth0'),
);

/** Texts of 2 to 43 characters that are addresses, nearly addresses, or nothing of the kind. */
export const addressLike = fc
  .oneof(
    randomAddress,
    fc.constantFrom(...goodAddresses, ...badAddresses),
    fc.tuple(fc.oneof(dotted, colons, fc.ipV4(), fc.ipV6()), suffix).map(([text, end]) => text + end),
    fc.string({ unit: 'binary', minLength: 2, maxLength: 20 }),
  )
  .filter((text) => [...text].length >= 2 && [...text].length <= 43 && text.isWellFormed());

/** One change to a spec: the field at `path` (steps into lists lead to their first item) gets another value. */
export type Change = { path: readonly (string | number)[]; value: unknown };

/** Changes of any field that the schema has, and a few that it has not. */
export function changesOf(schema: Structural): fc.Arbitrary<Change> {
  const fields = fieldsOf(schema, []);
  return fc.oneof(
    {
      weight: 20,
      arbitrary: fc
        .constantFrom(...fields)
        .chain(({ path, field }) => valuesOf(field).map((value) => ({ path, value }))),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom('constructor', 'extra', 'Name').map((name) => ({ path: [name], value: {} })),
    },
  );
}

/** A copy of `spec` with the change made; missing parents are created. */
export function withChange(spec: unknown, { path, value }: Change): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (typeof step === 'number') {
    const [first, ...others] = Array.isArray(spec) ? spec : [];
    return [withChange(first, { path: rest, value }), ...others];
  }
  const fields = typeof spec === 'object' && spec !== null && !Array.isArray(spec) ? spec : {};
  const before: unknown = Reflect.get(fields, step);
  return { ...fields, [step]: withChange(before, { path: rest, value }) };
}

type Field = { path: (string | number)[]; field: Structural };

function fieldsOf(schema: Structural, path: (string | number)[]): Field[] {
  const inside = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => [
    { path: [...path, name], field },
    ...fieldsOf(field, [...path, name]),
  ]);
  if (schema.items === undefined) return inside;
  return [...inside, { path: [...path, 0], field: schema.items }, ...fieldsOf(schema.items, [...path, 0])];
}

/** Values for one field: mostly of its type and near its limits, sometimes null or of another type. */
function valuesOf(schema: Structural): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 12, arbitrary: ofType(schema) },
    { weight: 1, arbitrary: fc.constantFrom(null, true, 1, 1.5, 'a', [], {}) },
  );
}

function ofType(schema: Structural): fc.Arbitrary<unknown> {
  switch (schema.type) {
    case 'object':
      return fc.constant({});
    case 'array':
      return fc.array(ofType(schema.items ?? schema), { minLength: 0, maxLength: 3 });
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return integersOf(schema);
    case 'string':
      return textsOf(schema);
  }
}

function integersOf(schema: Structural): fc.Arbitrary<unknown> {
  if (schema.enum !== undefined) return fc.constantFrom<unknown>(...schema.enum, 1, 4096);
  const { minimum = 0, maximum = 0 } = schema;
  return fc.constantFrom(minimum - 1, minimum, minimum + 1, maximum - 1, maximum, maximum + 1);
}

function textsOf(schema: Structural): fc.Arbitrary<unknown> {
  if (schema.enum !== undefined) {
    return fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom<unknown>(...schema.enum) },
      { weight: 1, arbitrary: words },
    );
  }
  const { maxLength = 0 } = schema;
  const atLimit = fc
    .constantFrom(maxLength, maxLength + 1)
    .map((length) => 'a'.repeat(Math.min(length, 1_000)));
  return fc.oneof(
    { weight: 8, arbitrary: words },
    { weight: 1, arbitrary: atLimit },
    {
      weight: 1,
      arbitrary: fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => text.isWellFormed()),
    },
  );
}
