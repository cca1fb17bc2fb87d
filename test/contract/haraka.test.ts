import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { privateApi } from '../../mta/private-api.ts';
import { makeCertificate } from '../wire/certificate.ts';
import { eventually } from '../wire/eventually.ts';
import { startSink } from '../wire/sink.ts';
import { BareHaraka } from './bare-haraka.ts';

// What stock Haraka does, and why Postern does not leave it alone. A test that fails here after an upgrade says either that a
// workaround can go, or that something Postern leans on has changed (mta/private-api.ts).

const acceptAll = `
const say = (text) => process.stdout.write(text + '\\n');
exports.hook_lookup_rdns = (next) => next(OK, 'x');
exports.hook_rcpt = (next) => next(OK);
`;

test('the version that was read and tried is the version that is installed', async () => {
  const require = createRequire(import.meta.url);
  const { version }: { version: string } = require('haraka/package.json');
  expect(version).toBe('3.3.4');
  const manifest = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
  expect(manifest.dependencies.haraka).toBe('3.3.4');
});

test('HT1: a second PROXY line is believed, unless proxy.allowed is reset in connect_init', async () => {
  const connectionIni =
    '[haproxy]\nenabled=true\nhosts[]=127.0.0.1\n[message]\nhelo=x\nclose=x\n[max]\nline_length=512\n[headers]\n[uuid]\n';
  const twice = async (plugin: string) => {
    await using haraka = await BareHaraka.start({ plugin, config: { 'connection.ini': connectionIni } });
    const session = await haraka.connect();
    session.write('PROXY TCP4 192.0.2.1 127.0.0.1 1 25\r\n');
    await session.reply();
    await session.send('EHLO client.example');
    return await session.send('PROXY TCP4 192.0.2.2 127.0.0.1 1 25');
  };
  expect(await twice(acceptAll)).toMatch(/^220 /);
  expect(
    await twice(
      `${acceptAll} exports.hook_connect_init = (next, c) => { c.proxy.allowed = false; next(); };`,
    ),
  ).toMatch(/^421 /);
});

test('HT2: without internalcmd_key any local client stops the server', async () => {
  await using guarded = await BareHaraka.start({ plugin: acceptAll });
  expect(await (await guarded.session()).send('INTERNALCMD performShutdown')).toMatch(/^501 /);
  await using open = await BareHaraka.start({ plugin: acceptAll, config: { internalcmd_key: undefined } });
  (await open.session()).write('INTERNALCMD performShutdown\r\n');
  await open.ended();
});

/** Relays everything to one port. */
const relayTo = (port: number, more = '', lmtp = false) => `${acceptAll}
exports.hook_get_mx = (next, hmail) => { ${more} next(OK, { exchange: '127.0.0.1', port: ${port}, using_lmtp: ${lmtp}, bind_helo: 'x' }); };
exports.hook_queue = function (next, connection) { this.haraka_require('outbound').send_trans_email(connection.transaction, next); };
exports.hook_delivered = (next, hmail, params) => { say('delivered ' + params[6].join()); next(); };
exports.hook_bounce = (next, hmail) => { say('bounced ' + hmail.todo.rcpt_to.join()); next(OK); };
`;

const stockOutbound = '[main]\nalways_split=false\nlocal_mx_ok=true\n';

test('HT3: LMTP with several recipients in one queue file charges the wrong one', async () => {
  const data = (to: string) => (to.startsWith('bob') ? '550 5.2.0 no' : undefined);
  await using sink = await startSink({ lmtp: true, behaviour: { data } });
  await using haraka = await BareHaraka.start({
    plugin: relayTo(sink.port, '', true),
    config: { 'outbound.ini': stockOutbound },
  });
  await (await haraka.session()).mail({ to: ['alice@example.com', 'bob@example.com'] });
  await eventually(() => haraka.lines.some((line) => line.startsWith('bounced')), 'somebody is charged');
  expect(haraka.lines).toContain('bounced <alice@example.com>');
});

test('HT4: todo.force_tls does nothing; get_force_tls on the mail does', async () => {
  await using clear = await startSink();
  await using one = await BareHaraka.start({ plugin: relayTo(clear.port, 'hmail.todo.force_tls = true;') });
  await (await one.session()).mail({ to: ['user@example.com'] });
  await eventually(() => clear.mails.length === 1, 'delivered in clear');

  await using refused = await startSink();
  const plugin = `${relayTo(refused.port, 'hmail.get_force_tls = () => true;')}
    exports.hook_deferred = (next, hmail, { err }) => { say('deferred ' + err); next(); };`;
  await using two = await BareHaraka.start({ plugin });
  await (await two.session()).mail({ to: ['user@example.com'] });
  await eventually(() => two.lines.some((line) => /deferred No TLS/.test(line)), 'deferred for want of TLS');
  expect(refused.mails).toEqual([]);
});

describe('HT6: a hook', () => {
  test('that throws lets the mail through', async () => {
    await using haraka = await BareHaraka.start({
      plugin: `${acceptAll} exports.hook_mail = () => { throw new Error('x'); };`,
    });
    expect(await (await haraka.session()).send('MAIL FROM:<a@b.example>')).toMatch(/^250 /);
  });

  test("that rejects is nobody's: the process gets an unhandled rejection", async () => {
    await using haraka = await BareHaraka.start({
      plugin: `${acceptAll} exports.hook_mail = async () => { throw new Error('x'); };`,
    });
    (await haraka.session()).write('MAIL FROM:<a@b.example>\r\n');
    await haraka.ended();
    expect(haraka.child.exitCode).not.toBe(0);
  });
});

describe('HT7: a queue that cannot be written', () => {
  test.each([
    [
      'is a permanent 550 on the default path',
      'exports.hook_data = (next, c) => { c.relaying = true; next(); };',
      /^550 /,
    ],
    [
      'is 450 after a temporary refusal in a queue hook',
      'exports.hook_queue = (next) => next(DENYSOFT);',
      /^450 /,
    ],
    [
      'is 451 after "continue" with a text',
      "exports.hook_queue = (next) => next(CONT, 'later');",
      /^451 later/,
    ],
  ])('%s', async (_what, hooks, reply) => {
    await using haraka = await BareHaraka.start({ plugin: `${acceptAll} ${hooks}` });
    const session = await haraka.session();
    await rm(haraka.queueDirectory, { recursive: true });
    expect((await session.mail({ to: ['user@example.com'] })).at(-1)).toMatch(reply);
  });
});

test('HT13: without connection.ini the first connection breaks', async () => {
  await using haraka = await BareHaraka.start({
    plugin: "exports.hook_lookup_rdns = (next) => { setImmediate(() => next(OK, 'x')); };",
    config: { 'connection.ini': undefined },
  });
  await (await haraka.connect()).untilClosed();
  await haraka.ended();
  expect(haraka.lines.join('\n')).toMatch(/Cannot read properties of undefined/);
});

test('STARTTLS of a Route: the hooks that tls-level.ts replaces are called, and fail closed', async () => {
  const certificate = await makeCertificate('sink.example');
  await using sink = await startSink({ server: { disabledCommands: ['AUTH'], ...certificate } });
  const shape = `
    hmail.get_force_tls = () => true;
    hmail.try_deliver_host_on_socket = function (mx, host, port, socket) {
      const upgrade = socket.upgrade;
      socket.upgrade = (o, cb) => upgrade({ ...o, rejectUnauthorized: false }, (ok, err, cert, cipher) => {
        say('asked ' + typeof socket.isSecure + ' ' + !!socket.targetsocket.encrypted + ' ' + !!socket.cleartext);
        cb(false, new Error('refused'), cert, cipher);
      });
      return Object.getPrototypeOf(this).try_deliver_host_on_socket.call(this, mx, host, port, socket);
    };`;
  const plugin = `${relayTo(sink.port, shape)}
    exports.hook_deferred = (next, hmail, { err }) => { say('deferred ' + err); next(); };`;
  await using haraka = await BareHaraka.start({ plugin });
  await (await haraka.session()).mail({ to: ['user@example.com'] });
  await eventually(
    () => haraka.lines.some((line) => /deferred Host failed TLS verification/.test(line)),
    'deferred',
  );
  expect(haraka.lines).toContain('asked function true true');
  expect(sink.mails).toEqual([]);
});

test('every private API that Postern leans on is there, and no other is listed', async () => {
  const probe = fileURLToPath(new URL('./private-api-probe.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [probe]);
  const has: Record<string, boolean> = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
  expect(has).toEqual(Object.fromEntries(Object.keys(privateApi).map((name) => [name, true])));
});
