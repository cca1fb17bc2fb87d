// What readers of the documents do: follow links, and type commands.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { buildProgram } from '../../cli/program.ts';
import { processShell } from '../../cli/shell.ts';
import { conditionTypes } from '../../operator/api/reasons.ts';

const root = join(import.meta.dirname, '../..');
const documents = globSync(['*.md', 'docs/**/*.md', 'charts/*/README.md', 'examples/**/*.md'], { cwd: root });
const textOf = (path: string) => readFileSync(join(root, path), 'utf8');

/** GitHub's anchors of the headings. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.matchAll(/^#{1,6} +(.+)$/gm)].map(([, heading = '']) => heading);
  const plain = (heading: string) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-');
  return new Set(headings.map(plain));
}

describe('IM4: documents', () => {
  it.each(documents)('IM4: the links of %s lead somewhere', (document) => {
    const text = textOf(document);
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
    for (const link of links.filter((one) => !/^[a-z]+:/.test(one))) {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? document : join(dirname(document), path);
      expect(existsSync(join(root, target)), link).toBe(true);
      if (anchor !== undefined && target.endsWith('.md'))
        expect([...anchorsOf(textOf(target))], `${document}: ${link}`).toContain(anchor);
    }
  });

  it.each(documents)('IM4: the program knows the commands and options that stand in %s', (document) => {
    const blocks = [...textOf(document).matchAll(/^```(?:sh|console)\n(.*?)^```/gms)].map(
      ([, text = '']) => text,
    );
    const lines = blocks
      .flatMap((text) => text.replaceAll(/\\\n/g, ' ').split('\n'))
      .map((line) => line.replace(/^\$ /, '').replace(/ +#.*$/, ''))
      .filter((line) => /^(bin\/)?postern /.test(line) || line.startsWith('kubectl postern '));
    for (const line of lines) {
      const words = line.replace(/^(kubectl |bin\/)?postern /, '').split(/\s+/);
      let command: Command = buildProgram(processShell());
      while (command.commands.length > 0) {
        const [name] = words;
        const next = command.commands.find((one) => one.name() === name);
        expect(next?.name(), line).toBe(name);
        if (next === undefined) return;
        command = next;
        words.shift();
      }
      const known = command.options.flatMap(({ short, long }) => [short, long]);
      for (const flag of words.filter((word) => /^--?[a-z]/.test(word)))
        expect(known, line).toContain(flag.replace(/=.*$/, ''));
    }
  });

  it('IM4: the conditions that troubleshooting names are those of the API', () => {
    const text = textOf('docs/troubleshooting.md');
    const named = [...text.matchAll(/`([A-Z][A-Za-z]+)=(True|False|Unknown)(?:\/([A-Za-z]+))?`/g)];
    expect(named.length).toBeGreaterThan(8);
    const types: Readonly<Record<string, { readonly reasons: object }>> = conditionTypes;
    for (const [whole, type = '', , reason] of named) {
      expect(Object.keys(types), whole).toContain(type);
      if (reason !== undefined) expect(Object.keys(types[type]?.reasons ?? {}), whole).toContain(reason);
    }
  });
});
