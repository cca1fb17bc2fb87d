import { mtaCommand } from './options.ts';
import { runMta } from './run.ts';

await mtaCommand((options) => runMta(options)).parseAsync();
