/**
 * Everything of Haraka 3.3.4 and its libraries that no documentation promises and that Postern leans on. The contract tests
 * (test/contract/) run each of these against the real package; a new version of Haraka goes in only when they pass.
 */
export const privateApi = {
  'connection.accumulate_data(line)':
    'data-collector.ts takes the lines of DATA; the final dot still goes to Haraka',
  'transaction.message_stream.destroy()':
    'hooks/envelope.ts skips it: it removes a file for each transaction, and we never make one',
  'connection.proxy.allowed': 'hooks/connection.ts resets it: a second PROXY line would be believed (HT1)',
  'connection.cmd_mail(argument), cmd_rcpt(argument)':
    "envelope-command.ts keeps the client's paths from Haraka's parser (B7); the hooks mail and rcpt still follow",
  'connection.respond(code, dsn, then)': 'a DSN object brings its own code',
  'net_utils.is_haproxy_allowed(ip)':
    'proxy-peers.ts decides who may send PROXY, without reading configuration on each connection',
  'hmail.get_force_tls(hop)': 'outbound/route-delivery.ts: todo.force_tls has no effect (HT4)',
  'hmail.try_deliver_host_on_socket(hop, host, port, socket)':
    'outbound/route-delivery.ts shapes the socket of each attempt',
  'hmail.try_deliver(), mxlist, socket.__fromPool':
    'outbound/route-delivery.ts begins with MAIL on a connection that is open already, and tries the hop anew if that has died',
  'MAIL, and RCPT TO:<address> after its reply':
    "outbound/command-watch.ts sends both at once, and Haraka's own RCPT not at all",
  'client_pool.get_client(hop, done)':
    'haraka.ts notes why a host was not reached, for the reason of a deferral',
  'hmail.delivered(...), then QUIT':
    'outbound/route-delivery.ts keeps the connection of a mail that was delivered, in place of sending QUIT',
  'hmail.size_file(), read_todo(), _stream_bytes_from(path, range)':
    'outbound/fresh-mail.ts gives the octets of a new mail from memory',
  'hmail.deferred_respond(code, message, failure), discard(), refcount, num_failures':
    'outbound/fresh-mail.ts writes the file of a mail that has none before Haraka renames it, and ends one that never had any',
  'hmail.bounce / temp_fail': 'outbound/route-delivery.ts turns early 5xx replies into deferrals (R5)',
  'hmail.bounce_respond(code, message)':
    'outbound/keep-mail.ts: a mail whose failure cannot be reported is not removed',
  'hmail.mxlist, try_deliver()':
    'outbound/route-delivery.ts goes on to the next host where the TLS of one is not good enough',
  'hmail.data_stream()': 'report/report.ts quotes the header of mail that failed',
  'hmail.next_cb': 'hooks/delivery.ts: the end of an attempt, whatever ended it',
  'hmail queue file format': 'outbound/queue-file.ts writes it: length, JSON, message',
  'outbound.qfile.name({uid, arrival, next_attempt, attempts}), platformDOT':
    'names of queue files; the unique part is our id of the leg, and stays in the name through all attempts, and in another pod (queue/adoption.ts)',
  'outbound.delivery_queue.push(hmail)': 'mail-store.ts starts the first attempt',
  'outbound.temp_fail_queue':
    'drain.ts stops it; hooks/delivery.ts takes mail out of it; its length is the number of deferred mails',
  'outbound.temp_fail_queue.queue':
    'queue/queue-desk.ts, outbound/hand-over.ts: what waits and until when; who takes it out of there has it alone',
  'outbound.temp_fail_queue.fire()':
    'outbound/clock-jumps.ts: called every second; before it, due times follow a clock that was set',
  'next attempt in the name of a queue file':
    'queue/queue-name.ts: held mail is due in the year 9999, also after a restart',
  'config.get(name), os.hostname()':
    'spared-work.ts answers from memory what Haraka asks for with each connection and reply',
  'constants.translate(value)': 'spared-work.ts remembers the names: Haraka lists its table for each of them',
  'logger.loglevel, levels, connection.log<level>, hmail.log<level>':
    'spared-work.ts empties the methods of levels that log.ini has turned off',
  'results.add(plugin, result), push':
    'spared-work.ts keeps none: nothing of Haraka reads them, and no plugin that Postern loads',
  'config/<plugin>.timeout':
    "home.ts: 0, no timer of Haraka's around each hook: the guard has its own deadline",
  'outbound.init_queue()': 'haraka.ts waits for it before the process calls itself ready',
  'outbound queue.cur_time':
    'haraka.ts makes it the present time: deferred mail would be late after a restart (HT8)',
  'outbound.get_stats()': 'stop.ts waits for running deliveries',
  'server.get_smtp_server(endpoint, timeout)':
    'proxy-front.ts puts itself before the connection handlers of each listener',
  'server.listeners': 'haraka.ts reads the ports that were given, in the order asked for',
  "tls_socket.certsByHost['*'], load_default_opts(), listener.tlsServer":
    'serve-certificate.ts puts a new certificate in without a restart',
  'socket.upgrade / isSecure / targetsocket': 'outbound/tls-level.ts verifies what the Route asks for',
} as const;
