// The script of `helm test`, run against a real MTA.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { bundleOf, domainPolicy } from '../../policy/fixture.ts';
import { type MtaProcess, startMta } from '../wire/mta-process.ts';
import { render } from './helm.ts';

/** Runs the command of the test pod against an MTA of this machine. @returns exit code and what it printed */
async function runProbe(mta: MtaProcess): Promise<{ code: unknown; output: string }> {
  const pod = (await render('postern-tenant', { files: ['default-values.yaml'] })).find(
    ({ kind }) => kind === 'Pod',
  );
  const { spec } = z
    .looseObject({
      spec: z.looseObject({ containers: z.tuple([z.looseObject({ command: z.array(z.string()) })]) }),
    })
    .parse(pod);
  const [program, ...args] = spec.containers[0].command;
  expect(program).toBe('node');
  expect(args.slice(-2)).toEqual(['mail', '25']);
  const { host, port } = mta.address('smtp');
  const child = spawn(process.execPath, [...args.slice(0, -2), host, String(port)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = await once(child, 'close');
  return { code, output };
}

test('CH5: helm test passes with an MTA that judges by a policy', async () => {
  await using mta = await startMta({ bundle: bundleOf([domainPolicy('one.example')]) });
  expect(await runProbe(mta)).toMatchObject({ code: 0, output: expect.stringMatching(/^550 5\.7\.1 /m) });
});

test('CH5: helm test fails with an MTA that has no policy', async () => {
  await using mta = await startMta({});
  expect(await runProbe(mta)).toMatchObject({ code: 1, output: expect.stringContaining('421') });
});
