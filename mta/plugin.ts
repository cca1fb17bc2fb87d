import { collectData } from './data-collector.ts';
import { takeEnvelopeCommands } from './envelope-command.ts';
import { type GuardSettings, guard, type Hook, internalFailure } from './guard.ts';
import type { HarakaConnection, HarakaMail, HarakaPlugin, Next } from './haraka.ts';
import {
  capabilities,
  connect,
  connectInit,
  disconnect,
  greeting,
  lookupRdns,
  unrecognizedCommand,
} from './hooks/connection.ts';
import { bounce, deferred, delivered, getMx, sendEmail } from './hooks/delivery.ts';
import { mail, rcpt } from './hooks/envelope.ts';
import { data, dataPost, judgeMessage, queue, resetTransaction } from './hooks/message.ts';
import type { Message } from './message.ts';
import { keepUnreported } from './outbound/keep-mail.ts';
import { fromTable, type Outcome, proceed, toDsn } from './outcome.ts';
import { type Runtime, requireRuntime } from './runtime.ts';
import { envelopeOf, sessionOf } from './session.ts';

/** Before everybody else. */
const priority = -100;
/** Filing waits for the disk. */
const filingDeadlineMs = 90_000;

/** Haraka's entry: it calls this with the plugin as `this`, and reads nothing else from the module. */
export function register(this: HarakaPlugin): void {
  registerHooks(this, requireRuntime());
}

function registerHooks(plugin: HarakaPlugin, runtime: Runtime): void {
  const { haraka } = runtime;
  const settings: GuardSettings = {
    haraka,
    deadlineMs: runtime.deadlineMs,
    report: ({ hook, ref, problem, error }) => {
      runtime.metrics.fault(hook);
      runtime.log.error(
        { event: 'fault', hook, ref, problem, err: error },
        'a hook failed; the client was told to come back',
      );
    },
  };
  const hook = <Target, Params>(
    name: string,
    run: Hook<Target, Params>,
    own: Partial<GuardSettings> = {},
  ) => {
    add(name, guard(name, run, { ...settings, ...own }));
  };
  const add = (name: string, method: (next: Next, target: never, params: never) => void) => {
    // Not `hook_<name>`: Haraka would register that name a second time.
    plugin[`on_${name}`] = method;
    plugin.register_hook(name, `on_${name}`, priority);
  };
  type On<Params = unknown> = Hook<HarakaConnection, Params>;

  const closing = { onFailure: closeAfterFailure };
  hook<HarakaConnection, unknown>('connect_init', (connection) => connectInit(runtime, connection));
  hook('lookup_rdns', () => lookupRdns(), closing);
  hook<HarakaConnection, unknown>('connect', (connection) => connect(runtime, connection), closing);
  hook('helo', () => greeting(runtime));
  hook('ehlo', () => greeting(runtime));
  hook<HarakaConnection, unknown>('capabilities', (connection) => capabilities(runtime, connection));
  hook('unrecognized_command', ((connection, params) =>
    unrecognizedCommand(runtime, connection, params)) satisfies On<readonly string[]>);
  hook<HarakaConnection, unknown>('mail', (connection) => mail(runtime, connection));
  hook<HarakaConnection, unknown>('rcpt', (connection) => rcpt(runtime, connection));
  hook<HarakaConnection, unknown>('data', (connection) => data(runtime, connection));
  hook<HarakaConnection, unknown>('data_post', (connection) => dataPost(runtime, connection));
  add('queue', queueHook(runtime, settings));
  // Nothing sets `relaying`, so Haraka never gets here; if it did, its own default would file without our legs.
  hook('queue_outbound', () => internalFailure('RELAYING'));
  hook<HarakaConnection, unknown>('reset_transaction', (connection) => resetTransaction(runtime, connection));
  hook<HarakaConnection, unknown>('disconnect', (connection) => disconnect(runtime, connection));

  hook<HarakaMail, unknown>('send_email', (item) => sendEmail(runtime, item), {
    onFailure: () => ({ kind: 'delay', seconds: 60 }),
  });
  hook<HarakaMail, unknown>('get_mx', (item) => getMx(runtime, item));
  hook(
    'deferred',
    ((item, failure) => deferred(runtime, item, failure)) satisfies Hook<
      HarakaMail,
      Parameters<typeof deferred>[2]
    >,
    { onFailure: () => proceed },
  );
  hook(
    'delivered',
    ((item, params) => delivered(runtime, item, params)) satisfies Hook<HarakaMail, readonly unknown[]>,
    { onFailure: () => proceed },
  );
  hook('bounce', ((item, error) => bounce(runtime, item, error)) satisfies Hook<HarakaMail, Error>, {
    onFailure: () => ({ kind: 'delay', seconds: 60 }),
  });
  keepUnreported(haraka);

  takeEnvelopeCommands(haraka, (connection) => {
    const outcome = fromTable('address-form', 'syntax');
    if (outcome.kind === 'refuse') connection.respond(outcome.reply.code, toDsn(haraka, outcome.reply));
  });
  collectData(haraka, (connection, message) => refuseBareLf(runtime, settings, connection, message));
}

/** In the greeting 421 is the only soft refusal (RFC 5321 4.3.2). */
function closeAfterFailure(ref: string): Outcome {
  const failure = internalFailure(ref);
  return failure.kind === 'refuse'
    ? { ...failure, reply: { ...failure.reply, code: 421 }, disconnect: true }
    : failure;
}

/** Haraka answers a soft refusal of this hook with 450 whatever its code; "continue" with a text is its 451. */
function queueHook(runtime: Runtime, settings: GuardSettings) {
  const { haraka } = runtime;
  const run = guard<HarakaConnection, unknown>(
    'queue',
    (connection, _params, deadline) => queue(runtime, connection, deadline),
    {
      ...settings,
      deadlineMs: filingDeadlineMs,
    },
  );
  return (next: Next, connection: HarakaConnection, params: unknown): void => {
    const translate: Next = (code, message) => {
      if (code !== haraka.constants.denysoft) next(code, message);
      else {
        envelopeOf(connection).outcome = { code: 451, enhanced: '4.3.0', text: 'Not filed' };
        next(haraka.constants.cont, message);
      }
    };
    run(translate, connection, params);
  };
}

/** Answers in the middle of DATA and closes: where the message ends is no longer certain. */
function refuseBareLf(
  runtime: Runtime,
  settings: GuardSettings,
  connection: HarakaConnection,
  message: Message,
): void {
  const judged = guard<HarakaConnection, unknown>(
    'data_line',
    () => judgeMessage(runtime, sessionOf(connection), envelopeOf(connection), message),
    settings,
  );
  judged(
    (_code, reply) =>
      connection.respond(550, reply ?? toDsn(runtime.haraka, bareLfReply), () => connection.disconnect()),
    connection,
    undefined,
  );
}

const bareLfReply = { code: 550, enhanced: '5.6.0', text: 'message has a bare LF' };
