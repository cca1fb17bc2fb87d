import { type Logger, pino } from 'pino';

export type Log = Logger;

/** JSON lines on standard output. Whatever a client sends stays inside one line: JSON escapes it. */
export function createLog(level: string): Log {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
}
