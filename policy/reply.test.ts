import { describe, expect, test } from 'vitest';
import { replies, replyLine } from './reply.ts';

describe('the reply table', () => {
  test.each(Object.entries(replies))(
    '%s is a well-formed reply',
    (_name, { code, enhanced, text, ...rest }) => {
      expect(String(code)).toMatch(/^[45]\d\d$/);
      expect(enhanced[0]).toBe(String(code)[0]);
      expect(enhanced).toMatch(/^[45]\.\d\.\d{1,2}$/);
      expect(text).toMatch(/^[!-~]( ?[!-~])*$/);
      // The connection is closed exactly by 421 (RFC 5321 3.8).
      expect('disconnect' in rest).toBe(code === 421);
    },
  );

  test('B7: the line ends with the reference', () => {
    expect(replyLine({ reply: replies.relaying, ref: '0A1B2C3D' })).toBe(
      '550 5.7.1 relaying denied (ref 0A1B2C3D)',
    );
  });
});
