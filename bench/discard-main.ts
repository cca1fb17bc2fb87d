import { mtaCommand } from '../mta/options.ts';
import { runMta } from '../mta/run.ts';
import { productParts } from '../mta/start.ts';

/** The MTA with a store that keeps nothing: what remains is the cost of taking and judging mail. */
const parts = { ...productParts, openStore: () => ({ busy: 0, file: async () => undefined }) };

await mtaCommand((options) => runMta(options, parts)).parseAsync();
