import { loadStockHaraka, startHaraka } from '../../mta/haraka.ts';

/** Stock Haraka on the home that is named: none of Postern's plugin, signal handling or patches. */
const [home = ''] = process.argv.slice(2);
const [server] = await startHaraka(loadStockHaraka(home), 1);
const address = server?.address();
if (address === null || address === undefined || typeof address === 'string') throw new Error('no port');
process.stdout.write(`ready smtp=127.0.0.1:${address.port}\n`);
