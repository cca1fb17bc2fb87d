import { type FolderProblem, folderProblemText } from '../operator/platform/standalone/problem.ts';
import type { Output } from './output.ts';

/** The edge of the program: everything that a command touches besides files. */
export interface Shell extends Output {
  /** Writes one line for people to stderr. */
  readonly warn: (text: string) => void;
  /** Says on stderr what of the folder cannot be used; the answer goes without it. */
  readonly warnProblems: (problems: readonly FolderProblem[]) => void;
  /** Sets the code that the program ends with. */
  readonly exit: (code: number) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly isTerminal: boolean;
  /** From now on SIGINT and SIGTERM abort the signal that is returned, instead of ending the process; a second SIGINT ends it. */
  readonly stopSignal: () => AbortSignal;
}

/** The shell of a real process. */
export function processShell(): Shell {
  const warn = (text: string) => process.stderr.write(`${text}\n`);
  return {
    write: (text) => process.stdout.write(text),
    warn,
    warnProblems: (problems) => {
      for (const problem of problems) warn(folderProblemText(problem));
    },
    exit: (code) => {
      process.exitCode = code;
    },
    now: Date.now,
    isTerminal: process.stdout.isTTY === true,
    stopSignal: () => {
      const stopping = new AbortController();
      process.once('SIGTERM', () => stopping.abort());
      process.once('SIGINT', () => stopping.abort());
      return stopping.signal;
    },
  };
}
