import { expect, test } from 'vitest';
import { bundleOf, domainPolicy } from '../../policy/fixture.ts';
import { makeCertificate } from './certificate.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import type { SmtpClient } from './smtp-client.ts';

const bundle = bundleOf([domainPolicy('example.com')]);
const first = await makeCertificate();
const second = await makeCertificate();

async function startTls(
  mta: MtaProcess,
  servername?: string,
): Promise<{ session: SmtpClient; cert: string }> {
  const session = await mta.session();
  expect(await session.send('STARTTLS')).toMatch(/^220 /);
  return { session, cert: await session.secure(servername) };
}

/** The certificates that clients get now, whichever way they come. */
async function served(mta: MtaProcess): Promise<string[]> {
  const submissions = async (name?: string) => {
    const session = await mta.connect('submissions');
    const cert = await session.secure(name);
    session.destroy();
    return cert;
  };
  const starttls = async (name?: string) => {
    const { session, cert } = await startTls(mta, name);
    session.destroy();
    return cert;
  };
  const name = 'mx.mta.example';
  return Promise.all([starttls(), starttls(name), submissions(), submissions(name)]);
}

const all = (certificate: { cert: string }) =>
  Array.from({ length: 4 }, () => expect.stringContaining(certificate.cert.trim().replaceAll('\r', '')));
const metric = async (mta: MtaProcess, pattern: RegExp) =>
  eventually(async () => pattern.test(await (await mta.get('/metrics')).text()), `metric ${pattern}`);

test('G7: a new certificate is served from the next handshake on, without a restart; running sessions stay', async () => {
  await using mta = await startMta({
    bundle,
    certificate: first,
    args: ['--submissions', '127.0.0.1:0'],
  });
  expect(await served(mta)).toEqual(all(first));
  const { pid } = mta;
  const { session } = await startTls(mta);
  await mta.writeCertificate(second);
  await metric(mta, /^postern_mta_certificate_loads_total\{result="loaded"\} 2$/m);
  expect(await served(mta)).toEqual(all(second));
  expect(mta.pid).toBe(pid);
  await session.send('EHLO client.example');
  expect((await session.mail({ to: ['user@example.com'] })).at(-1)).toMatch(/^250 /);
});

test.each([
  [
    'a key that belongs to another certificate',
    { cert: second.cert, key: first.key },
    'tls.key is not the key of tls.crt',
  ],
  ['no certificate at all', { cert: 'nonsense', key: second.key }, 'tls.crt is no certificate in PEM'],
  ['half a key', { cert: second.cert, key: second.key.slice(0, 80) }, 'tls.key is no private key in PEM'],
])('G7: with %s the last good one stays, and the log and /metrics say so', async (_what, broken, problem) => {
  await using mta = await startMta({ bundle, certificate: first, args: ['--submissions', '127.0.0.1:0'] });
  await mta.writeCertificate(broken);
  await metric(mta, /^postern_mta_certificate_loads_total\{result="failed"\} 1$/m);
  expect(await served(mta)).toEqual(all(first));
  await eventually(
    () =>
      mta.logged((entry) => entry['event'] === 'certificate' && entry['problem'] === problem).length === 1,
    'the log names the problem',
  );
  expect(mta.lines.join('\n')).not.toContain(second.key.slice(40, 70));
  await mta.writeCertificate(second);
  await metric(mta, /^postern_mta_certificate_loads_total\{result="loaded"\} 2$/m);
  expect(await served(mta)).toEqual(all(second));
});

test('STARTTLS is offered as soon as there is a certificate, and not before', async () => {
  await using mta = await startMta({ bundle, certificate: 'later' });
  const early = await mta.connect();
  await early.reply();
  expect(await early.send('EHLO client.example')).not.toContain('STARTTLS');
  expect(await early.send('STARTTLS')).toMatch(/^500 /);
  expect((await early.mail({ to: ['user@example.com'] })).at(-1)).toMatch(/^250 /);
  await mta.writeCertificate(first);
  await metric(mta, /^postern_mta_certificate_loads_total\{result="loaded"\} 1$/m);
  const { cert } = await startTls(mta);
  expect(cert).toContain(first.cert.trim().replaceAll('\r', ''));
  expect(await (await mta.get('/metrics')).text()).toMatch(
    /^postern_mta_certificate_expiry_timestamp_seconds 1\d{9}$/m,
  );
});
