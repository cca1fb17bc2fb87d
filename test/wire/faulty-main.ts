import { mtaCommand } from '../../mta/options.ts';
import { runMta } from '../../mta/run.ts';
import { productParts } from '../../mta/start.ts';
import type { LookupAnswer, Needed, RecipientLookup } from '../../policy/types.ts';

/**
 * The MTA with parts that are broken on purpose, in the way that a local part or a header names: `throw`, `reject`, `hang`.
 * For tests of the guard; the product's own main has no such thing.
 */
const { judge } = productParts;

function explode(name: string | undefined): void {
  if (name === 'throw') throw new Error('broken on purpose: "quoted"\nsecond line');
}

/** Makes the MTA ask, and what it asks rejects or never answers. */
function need(name: string | undefined): Needed | undefined {
  if (name !== 'reject' && name !== 'hang') return undefined;
  return { verdict: 'need', trace: [], lookup: { kind: 'recipient', route: name, recipient: name } };
}

function lookUp({ route }: RecipientLookup): Promise<LookupAnswer> {
  return route === 'reject' ? Promise.reject(new Error('rejected on purpose')) : new Promise(() => undefined);
}

const localPart = (path: string) => path.split('@', 1)[0];

const parts = {
  ...productParts,
  judge: {
    connect: (...[policy, facts, draining]: Parameters<typeof judge.connect>) => {
      if (facts.peer === '127.0.0.99') explode('throw');
      return judge.connect(policy, facts, draining);
    },
    mail: (...[policy, facts]: Parameters<typeof judge.mail>) => {
      explode(localPart(facts.envelopeFrom));
      return judge.mail(policy, facts);
    },
    rcpt: (...[policy, facts]: Parameters<typeof judge.rcpt>) => {
      explode(localPart(facts.recipient));
      return need(localPart(facts.recipient)) ?? judge.rcpt(policy, facts);
    },
    data: (...[policy, facts]: Parameters<typeof judge.data>) => {
      explode(facts.headers.find(([name]) => name === 'X-Fault')?.[1]);
      return judge.data(policy, facts);
    },
  },
  lookUp,
  deadlineMs: 500,
};

await mtaCommand((options) => runMta(options, parts)).parseAsync();
