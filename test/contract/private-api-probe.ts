import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadHaraka } from '../../mta/haraka.ts';
import type { privateApi } from '../../mta/private-api.ts';

/** Prints, for each private API, whether the installed Haraka has it in the shape that is used. */
const home = mkdtempSync(join(tmpdir(), 'postern-probe-'));
mkdirSync(join(home, 'config'));
writeFileSync(join(home, 'config', 'untimed.timeout'), '0\n');
const haraka = loadHaraka(home);
const fromHaraka = createRequire(createRequire(import.meta.url).resolve('haraka/package.json'));
const { createTransaction } = fromHaraka('./transaction.js');
const tlsSocket = fromHaraka('./tls_socket.js');
const { prototype: connection } = haraka.connectionClass;
const { prototype: mail } = haraka.outbound.HMailItem;
const { outbound } = haraka;
const takes = (method: unknown, count: number) => typeof method === 'function' && method.length === count;

/** HT8: mail that was due after the queue was read, and is due now, goes out now. */
function dueMailIsDelivered(): boolean {
  const queue = fromHaraka('./outbound/queue.js');
  queue.cur_time = new Date(0);
  const delivered: unknown[] = [];
  const deferred: unknown[] = [];
  const { push } = queue.delivery_queue;
  const { add } = queue.temp_fail_queue;
  queue.delivery_queue.push = (item: unknown) => delivered.push(item);
  queue.temp_fail_queue.add = (name: unknown) => deferred.push(name);
  queue._add_hmail({ filename: 'due', next_process: Date.now() });
  queue._add_hmail({ filename: 'later', next_process: Date.now() + 3_600_000 });
  Object.assign(queue.delivery_queue, { push });
  Object.assign(queue.temp_fail_queue, { add });
  return delivered.length === 1 && deferred.join() === 'later';
}

/** What waits can be seen with its time, and is gone once it was taken out. */
function waitingMailIsSeen(): boolean {
  const { temp_fail_queue } = outbound;
  const before = Date.now();
  temp_fail_queue.add('waiting', 3_600_000, () => undefined);
  const [timer] = temp_fail_queue.queue;
  const seen = timer?.id === 'waiting' && timer.fire_time >= before + 3_600_000 && timer.cb !== null;
  temp_fail_queue.discard('waiting');
  return seen && temp_fail_queue.queue.length === 0;
}

/** A mail is as due, and as often tried, as the name of its file says: held mail stays where it waits. */
function nameSaysWhenDue(): boolean {
  const queue = fromHaraka('./outbound/queue.js');
  queue._add_file(`1_${Date.UTC(9999, 11, 31)}_3_1_ID-1.1_1_host`);
  const [timer] = outbound.temp_fail_queue.queue;
  if (timer === undefined) return false;
  outbound.temp_fail_queue.discard(timer.id);
  return timer.fire_time > Date.UTC(9999, 11, 1);
}

function isReadOnce(name: string): boolean {
  const config = fromHaraka('haraka-config');
  const first = config.get(name);
  return config.get(name) === first;
}

/** No timer for the hooks of a plugin whose file says 0. */
function zeroMeansNoTimer(): boolean {
  const plugins = fromHaraka('./plugins.js');
  return (
    new plugins.Plugin('untimed').timeout === 0 &&
    new plugins.Plugin('other').timeout === 30 &&
    /item\[0\]\.timeout\) \{\s*timeout_id = setTimeout/.test(String(plugins.run_next_hook))
  );
}

/** What is to be logged is logged, and the rest of a result goes nowhere. */
function resultsAreLoggedOnly(): boolean {
  const ResultStore = fromHaraka('haraka-results');
  const logged: unknown[] = [];
  const results = new ResultStore({ logerror: (...what: unknown[]) => logged.push(what) });
  results.add({ name: 'one' }, { pass: 'a' });
  results.push({ name: 'one' }, { list: 'a' });
  results.add({ name: 'one' }, { err: 'broken' });
  return logged.length === 1 && JSON.stringify(results.get('one')?.pass) === '[]';
}

/** At level `warn` a warning is formatted and written, and a notice costs nothing. */
function lowLevelsAreEmpty(): boolean {
  const logger = fromHaraka('./logger.js');
  const empty = (name: string) => /^\(\) => undefined$/.test(String(Reflect.get(connection, name)));
  return (
    logger.levels.WARN === logger.loglevel &&
    ['lognotice', 'loginfo', 'logdebug', 'logprotocol', 'logdata'].every(empty) &&
    !['logwarn', 'logerror', 'logcrit'].some(empty) &&
    String(Reflect.get(mail, 'lognotice')) === String(Reflect.get(connection, 'lognotice'))
  );
}

/** Outcomes keep their names. */
function outcomesHaveNames(): boolean {
  const constants = fromHaraka('haraka-constants');
  const names = () => [constants.cont, constants.ok, constants.denysoft, 4711].map(constants.translate);
  return names().join() === 'CONT,OK,DENYSOFT,UNKNOWN';
}

const has: Record<keyof typeof privateApi, boolean> = {
  'connection.accumulate_data(line)': takes(connection.accumulate_data, 1),
  'transaction.message_stream.destroy()': takes(createTransaction('x', {}).message_stream.destroy, 0),
  'connection.proxy.allowed': /cmd_proxy\(line\) \{\s*if \(!this\.proxy\.allowed\)/.test(
    String(haraka.connectionClass),
  ),
  'connection.cmd_mail(argument), cmd_rcpt(argument)':
    takes(connection.cmd_mail, 1) &&
    takes(connection.cmd_rcpt, 1) &&
    /run_hooks\('mail', this, \[from, params\]\)/.test(String(connection.cmd_mail)) &&
    /run_hooks\('rcpt', this, \[recip, params\]\)/.test(String(connection.cmd_rcpt)),
  'connection.respond(code, dsn, then)': /msg\.constructor\.name === 'DSN'/.test(String(connection.respond)),
  'net_utils.is_haproxy_allowed(ip)':
    takes(haraka.netUtils.is_haproxy_allowed, 1) &&
    /net_utils\.is_haproxy_allowed\(/.test(String(haraka.connectionClass)),
  'hmail.get_force_tls(hop)': takes(mail.get_force_tls, 1),
  'hmail.try_deliver_host_on_socket(hop, host, port, socket)': takes(mail.try_deliver_host_on_socket, 4),
  'hmail.try_deliver(), mxlist, socket.__fromPool':
    takes(mail.try_deliver, 0) &&
    /const mx = this\.mxlist\.shift\(\)/.test(String(mail.try_deliver)) &&
    /if \(socket\.__fromPool\) \{[\s\S]*send_command\('MAIL'/.test(String(mail.try_deliver_host_on_socket)),
  'MAIL, and RCPT TO:<address> after its reply':
    /case 'mail':[\s\S]{0,120}send_command\('RCPT', `TO:\$\{last_recip\.format\(!smtp_properties\.smtputf8\)\}`\)/.test(
      String(mail.try_deliver_host_on_socket),
    ),
  'client_pool.get_client(hop, done)':
    takes(fromHaraka('./outbound/client_pool.js').get_client, 2) &&
    /client_pool\.get_client\(mx, \(err, socket\)/.test(String(mail.try_deliver)),
  'hmail.delivered(...), then QUIT':
    /processing_mail = false\s+if \(success\) \{[\s\S]*self\.delivered\([\s\S]*\}\s+send_command\('QUIT'\)/.test(
      String(mail.try_deliver_host_on_socket),
    ),
  'hmail.deferred_respond(code, message, failure), discard(), refcount, num_failures':
    takes(mail.deferred_respond, 3) &&
    takes(mail.discard, 0) &&
    /this\.refcount--/.test(String(mail.discard)) &&
    /this\.num_failures\+\+/.test(String(mail.temp_fail)),
  'hmail.size_file(), read_todo(), _stream_bytes_from(path, range)':
    takes(mail.size_file, 0) &&
    takes(mail.read_todo, 0) &&
    takes(mail._stream_bytes_from, 2) &&
    /this\.size_file\(\)/.test(String(outbound.HMailItem)) &&
    !/createReadStream|fs\.(?!rename)/.test(String(mail.read_todo)),
  'hmail.bounce / temp_fail': takes(mail.bounce, 2) && takes(mail.temp_fail, 2),
  'hmail.bounce_respond(code, message)':
    takes(mail.bounce_respond, 1) && /retval !== constants\.cont/.test(String(mail.bounce_respond)),
  'hmail.mxlist, try_deliver()':
    takes(mail.try_deliver, 0) && /const mx = this\.mxlist\.shift\(\)/.test(String(mail.try_deliver)),
  'hmail.data_stream()': takes(mail.data_stream, 0),
  'hmail.next_cb': /this\.next_cb = /.test(String(outbound.HMailItem)),
  'hmail queue file format': /readUInt32BE\(0\)/.test(String(Reflect.get(mail, 'read_todo'))),
  'outbound.qfile.name({uid, arrival, next_attempt, attempts}), platformDOT':
    outbound.qfile.name({ uid: 'ID-1.1' }).split('_').length === 7 &&
    outbound.qfile.name({ uid: 'ID-1.1' }).split('_')[4] === 'ID-1.1' &&
    outbound.qfile
      .name({ uid: 'ID-1.1', arrival: 11, next_attempt: 22, attempts: 3 })
      .startsWith(`11_22_3_${process.pid}_ID-1.1_`) &&
    /const new_filename = _qfile\.name\(parts\)/.test(String(Reflect.get(mail, 'deferred_respond'))) &&
    outbound.qfile.platformDOT !== '',
  'outbound.delivery_queue.push(hmail)': takes(outbound.delivery_queue.push, 1),
  'outbound.temp_fail_queue':
    takes(outbound.temp_fail_queue.add, 3) &&
    takes(outbound.temp_fail_queue.discard, 1) &&
    takes(outbound.temp_fail_queue.shutdown, 0) &&
    outbound.temp_fail_queue.length() === 0,
  'outbound.temp_fail_queue.queue': waitingMailIsSeen(),
  'outbound.temp_fail_queue.fire()':
    takes(outbound.temp_fail_queue.fire, 0) &&
    /setInterval\(\(\) => this\.fire\(\)/.test(String(outbound.temp_fail_queue.constructor)),
  'next attempt in the name of a queue file': nameSaysWhenDue(),
  'config.get(name), os.hostname()':
    /config\.get\('results\.ini'/.test(String(fromHaraka('haraka-results'))) &&
    /exports\.config\.get\('me'\)/.test(String(fromHaraka('haraka-net-utils').get_primary_host_name)) &&
    /os\.hostname\(\)/.test(String(connection.respond)) &&
    isReadOnce('results.ini'),
  'constants.translate(value)':
    outcomesHaveNames() && /constants\.translate\(retval\)/.test(String(haraka.connectionClass)),
  'logger.loglevel, levels, connection.log<level>, hmail.log<level>': lowLevelsAreEmpty(),
  'results.add(plugin, result), push':
    resultsAreLoggedOnly() && !/results\.(?:get|has|collate)\(/.test(String(haraka.connectionClass)),
  'config/<plugin>.timeout': zeroMeansNoTimer(),
  'outbound.init_queue()': /outbound\.init_queue\(\)/.test(
    String(Reflect.get(haraka.server, 'init_master_respond')),
  ),
  'outbound queue.cur_time': dueMailIsDelivered(),
  'outbound.get_stats()': /^\d+\/\d+\/\d+$/.test(outbound.get_stats()),
  'server.get_smtp_server(endpoint, timeout)':
    takes(haraka.server.get_smtp_server, 2) &&
    /Server\.get_smtp_server\(/.test(String(Reflect.get(haraka.server, 'setup_smtp_listeners'))),
  'server.listeners': Array.isArray(haraka.server.listeners) && takes(haraka.server.stopListeners, 0),
  "tls_socket.certsByHost['*'], load_default_opts(), listener.tlsServer":
    tlsSocket.certsByHost !== undefined &&
    /certsByHost\['\*'\][\s\S]*typeof cfg\.key\[0\] === 'string'[\s\S]*ctxByHost\['\*'\] = tls\.createSecureContext/.test(
      String(tlsSocket.load_default_opts),
    ) &&
    /const options = \{ \.\.\.certsByHost\['\*'\] \}/.test(String(tlsSocket.createServer)) &&
    /server\.tlsServer = tlsServer/.test(String(Reflect.get(haraka.server, 'create_smtps_server'))),
  'socket.upgrade / isSecure / targetsocket': /socket\.upgrade = \(options, cb2\)/.test(
    String(tlsSocket.connect),
  ),
};
process.stdout.write(`${JSON.stringify(has)}\n`);
rmSync(home, { recursive: true });
process.exit(0);
