import { Option } from 'commander';
import { stringify } from 'yaml';

const formats = ['table', 'json', 'yaml'] as const;
export type Format = (typeof formats)[number];

/** `-o table|json|yaml`, the same on every command that prints an answer. */
export function outputOption(): Option {
  return new Option('-o, --output <format>', 'how the answer is printed')
    .choices([...formats])
    .default('table');
}

export interface Output {
  readonly write: (text: string) => void;
}

/**
 * Prints one answer. JSON and YAML are the contract; the table is for people and may change.
 * @param table made only when it is asked for.
 */
export function printAnswer(output: Output, format: Format, value: unknown, table: () => string): void {
  if (format === 'json') output.write(`${JSON.stringify(value, undefined, 2)}\n`);
  else if (format === 'yaml') output.write(stringify(value, { lineWidth: 0, aliasDuplicateObjects: false }));
  else output.write(`${table()}\n`);
}

/** Columns of text, each as wide as its longest cell, two spaces apart; the last column is not padded. */
export function formatTable(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headers, ...rows];
  const widths = headers.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
