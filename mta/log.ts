import { type Logger, pino } from 'pino';

export type Log = Logger;

/** Bytes that are collected before they are written, and how long the last line waits at most, in milliseconds. */
const bufferBytes = 8_192;
const flushMs = 100;

/**
 * JSON lines on standard output. Whatever a client sends stays inside one line: JSON escapes it. Lines are written some at a
 * time, since a write for each transaction costs as much as all judgements in it; a normal end writes the rest.
 */
export function createLog(level: string): Log {
  const output = pino.destination({ dest: 1, sync: false, minLength: bufferBytes });
  const flush = () => output.flush();
  setInterval(flush, flushMs).unref();
  process.on('exit', () => {
    try {
      output.flushSync();
    } catch {
      // Standard output is gone or was never opened: nobody is left to tell.
    }
  });
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    output,
  );
}
