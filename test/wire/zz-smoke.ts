import { setTimeout as delay } from 'node:timers/promises';
import { bundleOf, domainPolicy } from '../../policy/fixture.ts';
import { startMta } from './mta-process.ts';
import { startSink } from './sink.ts';

await using sink = await startSink({ lmtp: true });
const routes = [
  {
    name: 'store',
    source: { kind: 'Route' as const, name: 'store', generation: 1 },
    host: '127.0.0.1',
    port: sink.port,
    protocol: 'LMTP' as const,
    lookupMx: false,
    tls: { mode: 'Opportunistic' as const, verify: 'None' as const },
    authenticated: false,
    connection: { maxConcurrent: 10, timeoutSeconds: 20 },
  },
];
await using mta = await startMta({
  bundle: {
    ...bundleOf([domainPolicy('example.com', { mailbox: { kind: 'Route', route: 'store' } })]),
    routes,
  },
  args: process.argv.slice(2),
});
const s = await mta.session();
console.log(await s.mail({ to: ['user@example.com'] }));
await delay(1500);
console.log(sink.mails, await mta.queued());
console.log((await mta.state()).queue);
console.log(mta.lines.join('\n'));
