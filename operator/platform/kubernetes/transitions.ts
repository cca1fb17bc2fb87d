import { type Condition, conditionTypes } from '../../api/index.ts';

/** What people are told when a condition turns. */
export interface Transition {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  /** The condition's type in the imperative's place: what was judged. */
  readonly action: string;
  readonly note: string;
}

/** Conditions whose turning True is news by itself. */
const goodNews: readonly string[] = ['Ready', 'Published', 'Signing'];
/** Conditions whose turning False is a fault of the object; of the others it is a state on the way, or advice. */
const faults: readonly string[] = ['Accepted', 'ResolvedRefs', 'Programmed', 'KeyGenerated', 'Reachable'];

/**
 * The events of one status change: a condition that turns False where it should not be, a warning that begins, what was verified
 * and is lost, and the few that are worth a word when they turn True. Nothing is said of what every change comes by, nor of Ready
 * turning False: the condition that made it so says more.
 */
export function transitionsOf(before: readonly Condition[], after: readonly Condition[]): Transition[] {
  return after.flatMap((condition) => {
    const { type, status, reason, message } = condition;
    const previous = before.find((other) => other.type === type);
    if ((previous?.status === status && previous.reason === reason) || isOnTheWay(condition, previous))
      return [];
    const { warning } = conditionTypes[type];
    const isGood = !warning && status === 'True' && previous?.status !== 'True' && goodNews.includes(type);
    const isLost = previous?.status === 'True' && status === 'False' && type === 'Published';
    const isBad = warning ? status === 'True' : isLost || (status === 'False' && faults.includes(type));
    if (!isGood && !isBad) return [];
    return [
      {
        type: isBad ? 'Warning' : 'Normal',
        reason,
        action: type,
        note: message === '' ? `${type} is ${status}` : message,
      },
    ];
  });
}

/** The first pods have loaded a new generation and the others are about to: a fault only where all had loaded it before. */
function isOnTheWay({ reason, observedGeneration }: Condition, previous: Condition | undefined): boolean {
  const hadLoaded = previous?.status === 'True' && previous.observedGeneration === observedGeneration;
  return reason === 'Pending' || (reason === 'PartiallyProgrammed' && !hadLoaded);
}
