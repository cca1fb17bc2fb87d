import { expect, test } from 'vitest';
import { LastAnswers } from './last-answers.ts';

test("an answer becomes one short line without anybody's name", () => {
  const answers = new LastAnswers();
  answers.note(
    'a',
    `<jane.doe+x@b.example>: 451\r\n\u001b[31m4.3.2 not now, "j@c.example" ${'x'.repeat(500)}`,
    7,
  );
  const text = answers.of('a')?.text ?? '';
  expect(text).toMatch(/^<\*@b\.example>: 451 \[31m4\.3\.2 not now, "\*@c\.example" x+$/);
  expect(text).toHaveLength(300);
  answers.forget('a');
  expect(answers.of('a')).toBeUndefined();
});
