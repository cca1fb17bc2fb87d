// What an image holds, told by a program that runs in it.
import * as z from 'zod';
import { docker } from '../parts/docker.ts';

/** Runs in the image, so it is plain JavaScript. Marks of keys, for code that merely names the armour holds no key. */
const survey = `
const { readdirSync, readFileSync, existsSync } = require('node:fs');
const { join } = require('node:path');
const { fileURLToPath } = require('node:url');
const root = '/opt/postern';
const armoured = /-----BEGIN [A-Z ]*PRIVATE KEY-----\\s+[A-Za-z0-9+/=]{40}/;
const files = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => !entry.isDirectory())
  .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
const keys = files.filter((file) => armoured.test(readFileSync(join(root, file), 'latin1')));
const packages = JSON.parse(readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8')).packages;
const lost = Object.keys(packages).filter((folder) => {
  if (!existsSync(join(root, folder))) return true;
  const about = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
  const main = [about.main].flat()[0] ?? 'index.js';
  const paths = ['', '.js', '.cjs', '.json', '/index.js'].map((ending) => join(root, folder, main + ending));
  return !about.exports && !paths.some((path) => existsSync(path));
});
console.log(JSON.stringify({ files, keys, packages: Object.keys(packages), lost }));
`;

const content = z.object({
  /** Paths below /opt/postern. */
  files: z.array(z.string()),
  /** Files that hold a private key in PEM. */
  keys: z.array(z.string()),
  /** Folders of packages, such as `node_modules/zod`. */
  packages: z.array(z.string()),
  /** Packages whose main module is not there. */
  lost: z.array(z.string()),
});

/** Looks into /opt/postern of an image. */
export async function contentOf(host: string, image: string): Promise<z.infer<typeof content>> {
  const args = ['run', '--rm', '--network=none', '--entrypoint', 'node', image, '--eval', survey];
  return content.parse(JSON.parse(await docker(host, args)));
}

const inspection = z
  .array(
    z.object({
      Size: z.number(),
      RootFS: z.object({ Layers: z.array(z.string()) }),
      Config: z.object({
        User: z.string(),
        Env: z.array(z.string()),
        Entrypoint: z.array(z.string()).nullable(),
        Cmd: z.array(z.string()).nullable(),
        Labels: z.record(z.string(), z.string()).nullable(),
        ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
      }),
    }),
  )
  .length(1);

/** `docker image inspect`. */
export async function inspectImage(host: string, image: string): Promise<z.infer<typeof inspection>[number]> {
  const [first] = inspection.parse(JSON.parse(await docker(host, ['image', 'inspect', image])));
  if (first === undefined) throw new Error(`${image}: there is no such image`);
  return first;
}
