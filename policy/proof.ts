import type { Notes } from './stage.ts';
import type { AuthenticatedAccount } from './types.ts';

/**
 * Is it known whose mail this is? Only then may a failure be reported to its sender: anybody else may never have sent it (G9).
 * An account is proof; for mail from outside, what earlier stages have noted of it.
 */
export function isProven(
  { account }: { readonly account?: AuthenticatedAccount | undefined },
  { proven }: Notes,
): boolean {
  return account !== undefined || proven === true;
}
