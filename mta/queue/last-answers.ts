/** Longest text that is kept of an answer. */
const maxText = 300;

interface Answer {
  /** Seconds since the epoch. */
  readonly at: number;
  readonly text: string;
}

/** Why the last attempt of each waiting mail failed, for whoever looks at the queue. As large as the queue; a restart empties it. */
export class LastAnswers {
  private readonly answers = new Map<string, Answer>();

  /** @param text may be what strangers have said: one line of harmless characters is kept of it, and of addresses the domains. */
  note(id: string, text: string, at: number): void {
    const harmless = text
      .replace(/[^!-~]+/g, ' ')
      .replace(/[^\s<>()[\],;:"']+@/g, '*@')
      .trim();
    this.answers.set(id, { at, text: harmless.slice(0, maxText) });
  }

  forget(id: string): void {
    this.answers.delete(id);
  }

  of(id: string): Answer | undefined {
    return this.answers.get(id);
  }
}
