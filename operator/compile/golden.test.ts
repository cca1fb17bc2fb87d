import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { policyBundle, secretBundle } from '../../bundle/policy-bundle.ts';
import { parseObject } from '../api/index.ts';
import { compile } from './compile.ts';
import type { StatusRecord, Translation } from './model.ts';
import { readScenario } from './testdata/scenario.ts';

/**
 * Golden files: `<case>.in.yaml` is compiled and must give `<case>.out.yaml`, statuses and bundle. The title of a case names the
 * behaviours it shows. `npm run testdata` writes the results anew; read the diff before you believe it.
 */
const folder = join(import.meta.dirname, 'testdata');
const cases = readdirSync(folder)
  .filter((file) => file.endsWith('.in.yaml'))
  .map((file) => {
    const { title, snapshot } = readScenario(readFileSync(join(folder, file), 'utf8'));
    return { title, snapshot, file: file.replace('.in.yaml', '.out.yaml') };
  });

describe('golden files', () => {
  test.each(cases)('$title', ({ snapshot, file }) => {
    const translation = compile(snapshot);
    const out = stringify(shown(translation), { lineWidth: 0, aliasDuplicateObjects: false });
    const path = join(folder, file);
    if (process.env['POSTERN_WRITE_TESTDATA'] === '1') writeFileSync(path, out);
    expect(parse(out)).toEqual(parse(readFileSync(path, 'utf8')));
    for (const { bundle, secrets } of translation.mtas) {
      policyBundle.parse(bundle);
      secretBundle.parse(secrets);
    }
    for (const { kind, name, status } of translation.statuses) {
      const object = snapshot.objects.find((one) => one.kind === kind && one.metadata.name === name);
      const parsed = parseObject(kind, { ...object, status });
      expect(parsed.ok && parsed.object.status, `${kind}/${name} breaks the schema of its status`).toEqual(
        status,
      );
    }
  });
});

/** A translation for people: hashes cut, secrets hidden, conditions in one line each. */
function shown({ mtas, statuses, wants }: Translation): unknown {
  return JSON.parse(
    JSON.stringify({
      statuses: Object.fromEntries(
        statuses.map((record) => [`${record.kind}/${record.name}`, shownStatus(record)]),
      ),
      mtas: mtas.map(({ mta, bundle, secrets, secretRevisions, hashes }) => ({
        mta,
        bundle,
        secrets: {
          routeAuth: Object.keys(secrets.routeAuth),
          accounts: Object.fromEntries(
            Object.entries(secrets.accounts).map(([domain, accounts]) => [
              domain,
              accounts.map(({ hashes: all, ...account }) => ({ ...account, hashes: all.length })),
            ]),
          ),
          dkimKeys: Object.keys(secrets.dkimKeys),
        },
        secretRevisions,
        hashes,
      })),
      wants,
    }).replace(/\b([0-9a-f]{8})[0-9a-f]{56}\b/g, '$1...'),
  );
}

function shownStatus({ status }: StatusRecord) {
  const { conditions, ...fields } = status;
  const lines = (conditions ?? []).map(({ type, status: is, reason, message }) => {
    const text = message === '' ? '' : `: ${message}`;
    return `${type}=${is} ${reason}${text}`;
  });
  return { conditions: lines, ...fields };
}
