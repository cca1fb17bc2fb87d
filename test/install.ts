// Installs what the suites run against; cached, so a second run takes a moment. `make test-parts` is this file.

import { ensurePrograms } from './cluster/install.ts';
import { ensureDebianParts } from './parts/install.ts';

await ensureDebianParts();
await ensurePrograms();
