/** The command line was wrong, or names something that is not there: exit code 2. */
export class Misuse extends Error {
  override name = 'Misuse';
}

/** The question was understood and the answer is no (a lint problem, a refused recipient, a difference): exit code 1. */
export const answerNo = 1;
export const misuse = 2;

/** What stands on stderr for an error: its message, and below it the causes that an AggregateError carries. */
export function describeError(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(describeError).join('\n');
  }
  return error instanceof Error ? error.message : String(error);
}
