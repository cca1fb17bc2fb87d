import * as z from 'zod';
import { KeptFile, readKept } from '../kept-file.ts';

/** Longest text that is kept of an answer. */
const maxText = 300;
/** Answers in the file, the latest ones: more would hold the event loop up (10,000 did for 25 ms). */
const maxKept = 2_000;
/** Milliseconds between two writes: what a process that is killed may forget. */
const writeEveryMs = 60_000;

const answer = z.object({
  /** Seconds since the epoch. */
  at: z.int().nonnegative(),
  text: z.string().max(maxText),
});
export type Answer = Readonly<z.infer<typeof answer>>;
const content = z.object({ answers: z.array(answer.extend({ id: z.string().max(100) })) });

interface LastAnswersParts {
  /** File on the volume of the queue; undefined: a restart empties it. */
  readonly file: string | undefined;
  /** Ids of the mails that wait. */
  readonly queued: ReadonlySet<string>;
  /** Told when the file cannot be read or written. */
  readonly problem: (problem: string) => void;
}

/**
 * Why the last attempt of each waiting mail failed, for whoever looks at the queue. As large as the queue. It outlives a restart as far
 * as it is saved: all of it at the end of a process, what is a minute old when one is killed.
 */
export class LastAnswers {
  private readonly answers = new Map<string, Answer>();
  private readonly file: KeptFile | undefined;

  private constructor({ file, problem }: LastAnswersParts) {
    if (file !== undefined)
      this.file = new KeptFile({ file, everyMs: writeEveryMs, content: () => this.content(), problem });
  }

  /** Knows what the process before knew of mail that still waits. A file that cannot be read is told of, and made anew. */
  static async open(parts: LastAnswersParts): Promise<LastAnswers> {
    const { file, queued, problem } = parts;
    const kept = file === undefined ? undefined : await readKept({ file, problem }, content);
    const all = new LastAnswers(parts);
    for (const { id, text, at } of kept?.answers ?? []) if (queued.has(id)) all.set(id, text, at);
    return all;
  }

  /** @param text may be what strangers have said: one line of harmless characters is kept of it, and of addresses the domains. */
  note(id: string, text: string, at: number): void {
    this.set(id, text, at);
    this.file?.changed();
  }

  forget(id: string): void {
    if (this.answers.delete(id)) this.file?.changed();
  }

  of(id: string): Answer | undefined {
    return this.answers.get(id);
  }

  /** Saves what is not saved yet. Never throws. */
  async close(): Promise<void> {
    await this.file?.close();
  }

  private set(id: string, text: string, at: number): void {
    const harmless = text
      .replace(/[^!-~]+/g, ' ')
      .replace(/[^\s<>()[\],;:"']+@/g, '*@')
      .trim();
    // The latest is the last: the order in which they are kept.
    this.answers.delete(id);
    this.answers.set(id, { at, text: harmless.slice(0, maxText) });
  }

  private content() {
    const answers = [...this.answers].slice(-maxKept).map(([id, { at, text }]) => ({ id, at, text }));
    return { text: JSON.stringify({ answers }) };
  }
}

/** Header that tells, with a mail that is handed over, why its last attempt failed. */
export const lastAnswerHeader = 'postern-last-answer';

/** An answer as one pod tells it to another: one line of printable characters. */
export function formatAnswer({ at, text }: Answer): string {
  return JSON.stringify({ at, text });
}

/** @returns undefined if it is none. */
export function parseAnswer(line: string): Answer | undefined {
  try {
    return answer.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
