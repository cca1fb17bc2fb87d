import { mtaCommand } from '../../mta/options.ts';
import { runMta } from '../../mta/run.ts';
import { productParts } from '../../mta/start.ts';

/** The MTA, for which mail servers of others listen on the port of the test's sinks: port 25 is not for everybody. */
const mxPort = Number(process.env['POSTERN_TEST_MX_PORT']);
await mtaCommand((options) => runMta(options, { ...productParts, mxPort })).parseAsync();
