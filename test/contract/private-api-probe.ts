import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadHaraka } from '../../mta/haraka.ts';
import type { privateApi } from '../../mta/private-api.ts';

/** Prints, for each private API, whether the installed Haraka has it in the shape that is used. */
const home = mkdtempSync(join(tmpdir(), 'postern-probe-'));
const haraka = loadHaraka(home);
const fromHaraka = createRequire(createRequire(import.meta.url).resolve('haraka/package.json'));
const { createTransaction } = fromHaraka('./transaction.js');
const tlsSocket = fromHaraka('./tls_socket.js');
const { prototype: connection } = haraka.connectionClass;
const { prototype: mail } = haraka.outbound.HMailItem;
const { outbound } = haraka;
const takes = (method: unknown, count: number) => typeof method === 'function' && method.length === count;

const has: Record<keyof typeof privateApi, boolean> = {
  'connection.accumulate_data(line)': takes(connection.accumulate_data, 1),
  'transaction.message_stream.destroy()': takes(createTransaction('x', {}).message_stream.destroy, 0),
  'connection.proxy.allowed': /cmd_proxy\(line\) \{\s*if \(!this\.proxy\.allowed\)/.test(
    String(haraka.connectionClass),
  ),
  'connection.received_line()': takes(connection.received_line, 0),
  'connection.respond(code, dsn, then)': /msg\.constructor\.name === 'DSN'/.test(String(connection.respond)),
  'net_utils.is_haproxy_allowed(ip)':
    takes(haraka.netUtils.is_haproxy_allowed, 1) &&
    /net_utils\.is_haproxy_allowed\(/.test(String(haraka.connectionClass)),
  'hmail.get_force_tls(hop)': takes(mail.get_force_tls, 1),
  'hmail.try_deliver_host_on_socket(hop, host, port, socket)': takes(mail.try_deliver_host_on_socket, 4),
  'hmail.bounce / temp_fail': takes(mail.bounce, 2) && takes(mail.temp_fail, 2),
  'hmail.next_cb': /this\.next_cb = /.test(String(outbound.HMailItem)),
  'hmail queue file format': /readUInt32BE\(0\)/.test(String(Reflect.get(mail, 'read_todo'))),
  'outbound.qfile.name(), platformDOT':
    outbound.qfile.name().split('_').length === 7 && outbound.qfile.platformDOT !== '',
  'outbound.delivery_queue.push(hmail)': takes(outbound.delivery_queue.push, 1),
  'outbound.temp_fail_queue':
    takes(outbound.temp_fail_queue.add, 3) &&
    takes(outbound.temp_fail_queue.discard, 1) &&
    takes(outbound.temp_fail_queue.shutdown, 0) &&
    outbound.temp_fail_queue.length() === 0,
  'outbound.init_queue()': /outbound\.init_queue\(\)/.test(
    String(Reflect.get(haraka.server, 'init_master_respond')),
  ),
  'outbound.get_stats()': /^\d+\/\d+\/\d+$/.test(outbound.get_stats()),
  'server.listeners': Array.isArray(haraka.server.listeners) && takes(haraka.server.stopListeners, 0),
  'socket.upgrade / isSecure / targetsocket': /socket\.upgrade = \(options, cb2\)/.test(
    String(tlsSocket.connect),
  ),
};
process.stdout.write(`${JSON.stringify(has)}\n`);
rmSync(home, { recursive: true });
process.exit(0);
