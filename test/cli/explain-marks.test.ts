// Mail that has been at a Route carries a keyed mark: `postern explain` judges it as the wire does, if it can read the key.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SmtpSession } from '../../examples/quickstart/smtp-session.ts';
import { type RunningStandalone, startStandalone } from '../standalone/harness.ts';
import { sendMail } from '../standalone/mail.ts';
import { sampleFiles } from '../standalone/sample.ts';
import { type Sink, startSink } from '../wire/sink.ts';
import { postern } from './run.ts';

let directory = '';
let folder = '';
let sink: Sink;
let standalone: RunningStandalone;
/** The mail as the Route has it, and would hand it back. */
let handedBack = '';

beforeAll(async () => {
  sink = await startSink();
  directory = await mkdtemp(join(tmpdir(), 'postern-marks-'));
  folder = join(directory, 'policy');
  standalone = await startStandalone({
    directory,
    folder,
    files: {
      ...sampleFiles,
      'route.yaml': `apiVersion: postern.dev/v1alpha1
kind: Route
metadata: {name: archive}
spec: {host: 127.0.0.1, port: ${sink.port}}
`,
      'domain.yaml': `${sampleFiles['domain.yaml']}  inboundRouting:
  - {match: External, target: Known, routeRef: {name: archive}, verifyRecipient: None}
`,
    },
  });
  expect(await sendMail(standalone, { client: '127.0.0.2', deliver: true })).toMatch(/^250 /);
  await standalone.eventually('the Route has the mail', async () =>
    sink.mails.length > 0 ? true : undefined,
  );
  handedBack = sink.mails[0]?.data ?? '';
  expect(handedBack).toMatch(/^X-Postern-Hop: /m);
});
afterAll(async () => {
  await standalone?.stop();
  await sink?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

async function explain(message: string, to: string, ...more: readonly string[]) {
  const file = join(directory, 'message.eml');
  await writeFile(file, message);
  const envelope = ['--client-ip', '127.0.0.3', '--mail-from', 'someone@elsewhere.example', '--rcpt', to];
  const ask = (...output: readonly string[]) =>
    postern('explain', ...envelope, '--message', file, ...more, ...output);
  const { code, out, err } = await ask('-o', 'json');
  const { hopMarks, recipients } = JSON.parse(out);
  return {
    code,
    err,
    hopMarks,
    line: `${recipients[0].code} ${recipients[0].reason}`,
    table: (await ask()).out,
  };
}
const known = () => ['-f', folder, '--state', standalone.state];

/** The answer of the wire to the same message. */
async function answer(text: string, to: string): Promise<string> {
  const { session } = await SmtpSession.open({ ...standalone.smtp, localAddress: '127.0.0.3' });
  try {
    for (const line of [
      'EHLO client.example',
      'MAIL FROM:<someone@elsewhere.example>',
      `RCPT TO:<${to}>`,
      'DATA',
    ])
      await session.command(line);
    return (await session.message(text.replaceAll('\r\n', '\n'))).line;
  } finally {
    await session.quit();
  }
}

it('G10: explain sees the loop that the wire sees, by the mark that it verifies', async () => {
  const { code, err, hopMarks, line, table } = await explain(handedBack, 'alice@example.com', ...known());
  expect({ code, err, hopMarks }).toEqual({
    code: 1,
    err: '',
    hopMarks: [{ field: 'X-Postern-Hop', valid: true }],
  });
  expect(line).toMatch(/^554 5\.4\.6 .*\(ref \w{8}\)$/);
  expect(line).toBe(await answer(handedBack, 'alice@example.com'));
  expect(table).toMatch(/^marks of hops: X-Postern-Hop valid\n\nalice@example\.com: reject\n/);
});

it('G10: the mark is of no use to another recipient, and a forged one to nobody', async () => {
  const other = await explain(handedBack, 'bob@example.com', ...known());
  expect([other.code, other.hopMarks]).toEqual([0, [{ field: 'X-Postern-Hop', valid: true }]]);
  expect(await answer(handedBack, 'bob@example.com')).toMatch(/^250 /);
  const forged = handedBack.replace(
    /^X-Postern-Hop: ./m,
    (mark) => `${mark.slice(0, -1)}${mark.endsWith('A') ? 'B' : 'A'}`,
  );
  const told = await explain(forged, 'alice@example.com', ...known());
  expect([told.code, told.hopMarks]).toEqual([0, [{ field: 'X-Postern-Hop', valid: false }]]);
  expect(told.table).toMatch(/^marks of hops: X-Postern-Hop not valid\n/);
  expect(await answer(forged, 'alice@example.com')).toMatch(/^250 /);
});

it('G10: without the key explain says that it did not verify', async () => {
  const { code, err, hopMarks, table } = await explain(handedBack, 'alice@example.com', '-f', folder);
  expect([code, hopMarks]).toEqual([0, [{ field: 'X-Postern-Hop', valid: null }]]);
  expect(err).toMatch(
    /^note: where the message has been is not verified.*Secret postern-hop-key cannot be read/,
  );
  expect(table).toMatch(/^marks of hops: X-Postern-Hop not verified\n/);
  const plain = await explain('From: a@b.example\r\n\r\nhello\r\n', 'alice@example.com', '-f', folder);
  expect([plain.err, plain.hopMarks]).toEqual(['', []]);
});
