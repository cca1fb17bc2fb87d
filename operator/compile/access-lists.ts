import type { RangeList } from '../../bundle/range-list.ts';
import { type IpAccessList, limits } from '../api/index.ts';
import { coverOfList, type ListEntries, parsedRanges, readEntries } from './access-list-entries.ts';
import type { ConditionInput } from './conditions.ts';
import { Shares } from './conflicts.ts';
import { acceptedFrom, type DomainVerdict, refuses, type Targets, takes, targetsOf } from './domain-refs.ts';
import type { Domains, Hosted } from './domains.ts';
import type { Snapshot } from './model.ts';
import { isCovered } from './range-cover.ts';
import { guardEntries, guardOf } from './range-guard.ts';
import { type References, type RefProblem, resolvedRefs } from './references.ts';

/** One IpAccessList with what the domains make of it. */
export interface AccessList {
  readonly object: IpAccessList;
  readonly entries: ListEntries;
  readonly verdicts: readonly DomainVerdict[];
  /** Names of the MailDomains it acts on (or would, in Audit). */
  readonly domains: ReadonlySet<string>;
  /** Entries that are left out because they cover addresses of the cluster (G14). */
  readonly untrusted: readonly string[];
  readonly accepted: ConditionInput;
  readonly resolvedRefs: ConditionInput;
}

/**
 * Reads all lists and shares out the limit of entries per (domain, action), oldest list first (A2, B1).
 *
 * @param objects oldest first
 */
export function compileAccessLists(
  objects: readonly IpAccessList[],
  domains: Domains,
  references: References,
  snapshot: Snapshot,
): AccessList[] {
  const shares = new Shares(limits.accessEntries);
  return objects.map((object) => {
    const targets: Targets = targetsOf(object.spec.domainRefs, domains);
    const guard = guardOf(targets.hosted, snapshot);
    const { entries, untrusted } = guardEntries(readEntries(object, references), guard);
    const verdicts = [
      ...targets.hosted.map((hosted) => judge(object, entries, hosted, shares)),
      ...targets.missing,
    ];
    const problems: RefProblem[] = [...targets.problems, ...entries.problems];
    return {
      object,
      entries,
      untrusted,
      verdicts,
      domains: new Set(verdicts.filter(({ accepted }) => accepted).map(({ name }) => name)),
      accepted: acceptedFrom(verdicts),
      resolvedRefs: resolvedRefs(problems),
    };
  });
}

/** The lists of one action that act on a domain. @param audit whether those in Audit count too */
export function listsOf(
  lists: readonly AccessList[],
  mailDomain: string,
  action: IpAccessList['spec']['action'],
  audit: boolean,
): AccessList[] {
  return lists.filter(
    ({ object, domains }) =>
      object.spec.action === action &&
      domains.has(mailDomain) &&
      (audit || object.spec.enforcement === 'Enforce'),
  );
}

/**
 * How many entries of a block list can never act, because on every domain of it some allow list has the same addresses (A10).
 *
 * @param lists all lists
 */
export function countShadowed(list: AccessList, lists: readonly AccessList[]): number {
  if (list.object.spec.action === 'Allow' || list.domains.size === 0) return 0;
  const covers = new Map<string, readonly ListEntries[]>();
  for (const mailDomain of list.domains) {
    const allow = listsOf(lists, mailDomain, 'Allow', false);
    if (allow.length === 0) return 0;
    covers.set(
      allow.map(({ object }) => object.metadata.name).join(),
      allow.map(({ entries }) => entries),
    );
  }
  return rememberedCount(list.entries, [...covers.values()]);
}

/** What was counted last for a list: reading allow lists of 10,000 entries for each reconcile would cost more than all else. */
const counted = new WeakMap<
  RangeList,
  { readonly against: readonly (readonly ListEntries[])[]; readonly count: number }
>();

function rememberedCount(block: ListEntries, against: readonly (readonly ListEntries[])[]): number {
  const known = counted.get(block.list);
  if (known !== undefined && sameGroups(known.against, against)) return known.count;
  const covers = against.map((group) => group.map(({ list }) => coverOfList(list)));
  const count = parsedRanges(block.list).filter((range) =>
    covers.every((group) => group.some((cover) => isCovered(range, cover))),
  ).length;
  counted.set(block.list, { against, count });
  return count;
}

function judge(object: IpAccessList, entries: ListEntries, hosted: Hosted, shares: Shares): DomainVerdict {
  const { action } = object.spec;
  if (entries.overLimit !== undefined)
    return refuses(hosted, 'LimitExceeded', `The list is too long: ${entries.overLimit}`);
  const place = `${action} ${hosted.name}`;
  if (shares.take(place, entries.entryCount)) return takes(hosted);
  const message = `${hosted.domain} has ${shares.used(place)} ${action} entries in older lists, and ${limits.accessEntries} are possible: these ${entries.entryCount} do not act`;
  return refuses(hosted, 'LimitExceeded', message);
}

function sameGroups(
  left: readonly (readonly ListEntries[])[],
  right: readonly (readonly ListEntries[])[],
): boolean {
  return (
    left.length === right.length &&
    left.every((group, index) => {
      const other = right[index] ?? [];
      return group.length === other.length && group.every((entries, position) => entries === other[position]);
    })
  );
}
