import { expect, test } from 'vitest';
import { ApiError } from './runtime/api-error.ts';
import type { ApiClient } from './runtime/client.ts';
import { Tenant } from './tenant.ts';

const client: ApiClient = {
  async request() {
    return {};
  },
  async *watch() {},
  close() {},
};

test('what was refused is known until it is written, or nothing refers to it any more', async () => {
  const tenant = new Tenant('mail', new Map(), client, () => 0);
  const refused = async (subject: string) => {
    const write = async () => {
      throw new ApiError(403, 'Forbidden', `${subject}: exceeded quota`);
    };
    await expect(tenant.noteRefusal(subject, write)).rejects.toThrow('exceeded quota');
  };
  for (const subject of ['mta/default', 'mta/gone', 'secret/key', 'secret/gone']) await refused(subject);
  tenant.refer({ secrets: new Set(['key']), configMaps: new Set() }, ['default']);
  expect([...tenant.refusals.keys()]).toEqual(['mta/default', 'secret/key']);
  await tenant.noteRefusal('mta/default', async () => undefined);
  expect([...tenant.refusals]).toEqual([['secret/key', 'secret/key: exceeded quota']]);
});
