import { describe, expect, it } from 'vitest';
import { formatTable, printAnswer } from './output.ts';

describe('output', () => {
  it('columns are as wide as their longest cell, and no line ends in blanks', () => {
    expect(
      formatTable(
        ['A', 'LONG', 'B'],
        [
          ['longer', 'x', ''],
          ['y', '', 'z'],
        ],
      ),
    ).toBe('A       LONG  B\nlonger  x\ny             z');
  });

  it('the table is made only when it is asked for', () => {
    const written: string[] = [];
    const output = { write: (text: string) => written.push(text) };
    printAnswer(output, 'json', { a: [1] }, () => {
      throw new Error('not asked for');
    });
    printAnswer(output, 'yaml', { a: ['NO'] }, () => '');
    printAnswer(output, 'table', {}, () => 'table');
    expect(written).toEqual(['{\n  "a": [\n    1\n  ]\n}\n', 'a:\n  - NO\n', 'table\n']);
  });
});
