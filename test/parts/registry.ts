// A registry for images and charts, on loopback and without TLS.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild } from '../cluster/child.ts';
import { freePort } from '../cluster/free-port.ts';
import { ensureDebianParts } from './install.ts';

export interface Registry {
  /** `host:port` */
  readonly address: string;
  stop(): Promise<void>;
}

/** Starts an empty registry (Debian's docker-registry), which keeps what it is given until it is stopped. */
export async function startRegistry(): Promise<Registry> {
  await ensureDebianParts(['registry']);
  const folder = await mkdtemp(join(tmpdir(), 'postern-registry-'));
  const address = `127.0.0.1:${await freePort()}`;
  const config = {
    version: '0.1',
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: join(folder, 'data') } },
    http: { addr: address },
  };
  // JSON is YAML.
  await writeFile(join(folder, 'config.yml'), JSON.stringify(config));
  const child = startChild('/usr/bin/docker-registry', ['serve', join(folder, 'config.yml')], {
    cwd: folder,
  });
  const stop = async () => {
    await child.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await child.ready(() => answers(address), 30_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return { address, stop };
}

async function answers(address: string): Promise<boolean> {
  const response = await fetch(`http://${address}/v2/`).catch(() => undefined);
  return response?.ok === true;
}
