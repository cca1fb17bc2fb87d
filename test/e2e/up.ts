// `npx node test/e2e/up.ts`: the cluster of the tests, kept until Ctrl-C, for those who write them. Tests use it with the
// variable that it prints, and may be run again and again.
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildImage } from '../image/built-image.ts';
import { startWithOperator } from './setup.ts';

const daemon = await buildImage();
const { cluster, access } = await startWithOperator(daemon.host).finally(daemon.stop);
const folder = await mkdtemp(join(tmpdir(), 'postern-up-'));
const file = join(folder, 'cluster.json');
await writeFile(file, JSON.stringify(access));
console.log(`export KUBECONFIG=${access.kubeconfigs['admin']} POSTERN_E2E_CLUSTER=${file}`);
// The timer keeps the process alive.
const timer = setInterval(() => undefined, 60_000);
await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
clearInterval(timer);
console.log(cluster.logs());
await cluster.stop();
await rm(folder, { recursive: true, force: true });
