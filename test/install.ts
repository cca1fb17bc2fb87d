// Installs what the suites run against; cached, so a second run takes a moment. `make test-parts` is this file.
import { ensureDebianParts } from './parts/install.ts';
import { ensurePrograms } from './cluster/install.ts';

await ensureDebianParts();
await ensurePrograms();
