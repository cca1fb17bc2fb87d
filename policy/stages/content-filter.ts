import { fields } from '../field.ts';
import type { DataScope, Finding, Stage } from '../stage.ts';
import { byObject } from '../stage.ts';
import type { DataFacts } from '../types.ts';
import { addJunk, clientOf } from './authentication.ts';

/** Verdicts of rspamd that mean spam without refusing it. */
const spamActions = new Set(['add header', 'rewrite subject']);

/**
 * The content filter of the recipient domain; of the account's domain for mail of an account, whose recipients may have
 * several. Last of the judgements: it is the dearest.
 */
export const contentFilter: Stage<DataFacts, DataScope> = {
  name: 'content-filter',
  ids: ['G17', 'A6', 'D10'],
  about:
    'The content filter finds no spam and no virus. A virus is refused; spam is refused or goes to Junk. An allowed client, or a gateway that filters itself, is asked about for viruses only.',
  judge(facts, { accountDomain, domains }, notes): Finding | undefined {
    const settings = (facts.account === undefined ? domains[0] : accountDomain)?.policy;
    const filter = settings?.contentFilter;
    if (settings === undefined || filter === undefined) return undefined;
    const { rspamdUrl: url, onFailure, rejectAction, virusSymbols } = filter;
    if (notes.virusOnly !== undefined && virusSymbols.length === 0) {
      return { outcome: 'skip', detail: 'asked for viruses only, and the domain names no symbols of theirs' };
    }
    const answer = facts.contentFilter;
    if (answer === undefined) {
      return { outcome: 'need', lookup: { kind: 'contentFilter', url, ...clientOf(facts, notes) } };
    }
    if (answer === 'notAsked') {
      return { outcome: 'skip', detail: 'only a live message shows it: taken to have nothing against it' };
    }
    const because = byObject(settings.source, fields.contentFilter);
    if (answer.kind === 'unavailable') {
      const detail = `the content filter does not answer: ${answer.problem}`;
      if (onFailure === 'Defer') return { outcome: 'reject', reply: 'contentDeferred', because, detail };
      return { outcome: 'note', detail, because, notes: {} };
    }
    const virus = answer.symbols.find((symbol) => virusSymbols.includes(symbol));
    if (virus !== undefined) {
      return { outcome: 'reject', reply: 'contentRefused', because, detail: `virus: ${virus}` };
    }
    const detail = `${answer.action}, score ${answer.score}`;
    if (notes.virusOnly !== undefined) {
      return { outcome: 'note', detail: 'no virus', because: notes.virusOnly, notes: {} };
    }
    if (answer.action === 'soft reject')
      return { outcome: 'reject', reply: 'contentDeferred', because, detail };
    const refused = answer.action === 'reject';
    if (refused && rejectAction === 'Reject')
      return { outcome: 'reject', reply: 'contentRefused', because, detail };
    if (!refused && !spamActions.has(answer.action)) return { outcome: 'note', detail, because, notes: {} };
    const junk = addJunk(notes, domains, because);
    return { outcome: 'note', detail: `${detail}: to Junk`, because, notes: { junk } };
  },
};
