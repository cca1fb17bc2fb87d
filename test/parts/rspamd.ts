// rspamd as the content filter of a test: alone, with rules of its own, no Redis and no network.

import { execFile } from 'node:child_process';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startChild } from '../cluster/child.ts';
import { freePort } from '../cluster/free-port.ts';
import { ensureDebianParts } from './install.ts';

/** A running rspamd. */
export interface Rspamd {
  /** `http://127.0.0.1:port` of its normal worker. */
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Starts an rspamd whose verdict follows the Subject: `[spam]` is "add header", `[later]` "soft reject", `[virus]` matches the
 * symbol TEST_VIRUS and nothing else; GTUBE is "reject" as everywhere.
 */
export async function startRspamd(): Promise<Rspamd> {
  await ensureDebianParts(['rspamd']);
  const folder = await mkdtemp(join(tmpdir(), 'postern-rspamd-'));
  const port = await freePort();
  await writeFile(join(folder, 'rspamd.conf'), config(folder, port));
  await writeFile(join(folder, 'rules.lua'), rules);
  // The stock list of public suffixes takes half a minute to load.
  await writeFile(join(folder, 'tld.dat'), ['com', 'net', 'org', 'test', 'example', ''].join('\n'));
  const asRoot = process.getuid?.() === 0;
  if (asRoot) await giveTo('_rspamd', folder);
  const user = asRoot ? ['-u', '_rspamd', '-g', '_rspamd'] : [];
  const args = ['-f', ...user, '-c', join(folder, 'rspamd.conf')];
  const rspamd = startChild('/usr/bin/rspamd', args, { cwd: folder, graceTenths: 50 });
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    await rspamd.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await rspamd.ready(async () => (await (await fetch(`${url}/ping`)).text()).startsWith('pong'), 60_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, stop };
}

/** It refuses to run as root, and its user must write into the folder. */
async function giveTo(user: string, folder: string): Promise<void> {
  const id = async (flag: string) => Number((await promisify(execFile)('id', [flag, user])).stdout);
  await chown(folder, await id('-u'), await id('-g'));
}

const config = (folder: string, port: number) => `
options {
  pidfile = "${folder}/rspamd.pid"; tempdir = "${folder}"; cache_file = "${folder}/symbols.cache";
  hs_cache_dir = "${folder}"; control_socket = "${folder}/control.sock mode=0600"; url_tld = "${folder}/tld.dat";
  filters = "regexp"; enable_test_patterns = true; disable_hyperscan = true;
  dns { nameserver = ["127.0.0.1:9"]; timeout = 0.2s; retransmits = 1; }
}
logging { type = "console"; level = "warning"; }
worker "normal" { bind_socket = "127.0.0.1:${port}"; count = 1; }
actions { reject = 15; add_header = 6; greylist = 4; }
lang_detection { languages = "/nonexistent"; fasttext_enabled = false; }
lua = "${folder}/rules.lua"
regexp {
  TEST_SPAM { re = "Subject=/\\\\[spam\\\\]/Hi"; score = 7; }
  TEST_VIRUS { re = "Subject=/\\\\[virus\\\\]/Hi"; score = 0.1; }
}
`;

const rules = `
rspamd_config.TEST_LATER = {
  type = 'prefilter',
  callback = function(task)
    if (task:get_header('Subject') or ''):find('%[later%]') then
      task:set_pre_result('soft reject', 'Try again later', 'test')
    end
  end
}
`;
