import type { RangeList } from '../../bundle/range-list.ts';
import type { Range } from '../../policy/ip/range.ts';
import { formatRange } from '../../policy/ip/range.ts';
import type { InboundGateway } from '../api/index.ts';
import { parsedRanges } from './access-list-entries.ts';
import { type AccessList, listsOf } from './access-lists.ts';
import { type ConditionInput, condition } from './conditions.ts';
import type { Domains } from './domains.ts';
import type { Gateway } from './gateway.ts';
import type { Snapshot } from './model.ts';
import { coverOf, isCovered } from './range-cover.ts';
import { nameOf } from './references.ts';

/** A9: an allow entry that is likely to hold strangers. */
export function broadRange({ object, entries }: AccessList): ConditionInput[] {
  if (object.spec.action !== 'Allow' || entries.broad === undefined) return [];
  return [condition('BroadRange', 'True', 'BroadRange', `${entries.broad} is wider than /24 (IPv6: /48)`)];
}

/** What an allow list and a gateway of the same domain have to do with each other. */
interface Meeting {
  readonly list: AccessList;
  readonly gateway: Gateway;
  /** An address of the gateway that the list allows. */
  readonly covered: string | undefined;
}

/** Every pair of an allow list and a gateway that meet on some domain. */
export function meetings(lists: readonly AccessList[], gateways: readonly Gateway[]): Meeting[] {
  return gateways.flatMap((gateway) => {
    const met = new Set([...gateway.domains].flatMap((name) => listsOf(lists, name, 'Allow', true)));
    return [...met].map((list) => ({
      list,
      gateway,
      covered: rememberedOverlap(list.entries.list, gateway),
    }));
  });
}

/**
 * The two warnings about lists beside a gateway: an allowed peer passes it by (D7), and an entry that covers the gateway does
 * not allow the mail that comes through it (A12).
 *
 * @param side for which of the two objects the messages are
 */
export function gatewayWarnings(all: readonly Meeting[], side: 'list' | 'gateway'): ConditionInput[] {
  const other = ({ list, gateway }: Meeting) => nameOf(side === 'list' ? gateway.object : list.object);
  const bypassing = all.filter(
    ({ gateway, list }) => gateway.object.spec.onlyFromGateway && list.entries.entryCount > 0,
  );
  const covering = all.filter(({ covered }) => covered !== undefined);
  const warnings: ConditionInput[] = [];
  if (bypassing.length > 0) {
    const names = [...new Set(bypassing.map(other))].sort().join(', ');
    const message =
      side === 'list'
        ? `Peers of this list pass by ${names}, which is onlyFromGateway`
        : `Peers allowed by ${names} pass by this gateway`;
    warnings.push(condition('AllowListBypassesGateway', 'True', 'AllowListBypassesGateway', message));
  }
  if (covering.length > 0) {
    const places = [...new Set(covering.map((meeting) => `${meeting.covered} (${other(meeting)})`))]
      .sort()
      .join(', ');
    const message = `Allowed although it is a gateway's: ${places}; this does not allow the mail that comes through it`;
    warnings.push(condition('AllowListCoversGateway', 'True', 'AllowListCoversGateway', message));
  }
  return warnings;
}

/**
 * G14: the pods of an MTA that serves one of the domains see nodes, pods or Services where clients should be.
 *
 * @param mailDomains names of MailDomains
 */
export function addressesReplaced(
  mailDomains: ReadonlySet<string>,
  { domains, snapshot }: { readonly domains: Domains; readonly snapshot: Snapshot },
): ConditionInput[] {
  if (snapshot.options.clusterRanges === undefined) return [];
  const served = new Set([...mailDomains].flatMap((name) => domains.hosted.get(name)?.mta ?? []));
  const mtas = snapshot.observed.pods
    .filter(
      ({ mta, ready, state }) => ready && served.has(mta) && state.ok && state.value.clusterPeers === true,
    )
    .map(({ mta }) => mta);
  if (mtas.length === 0) return [];
  const names = [...new Set(mtas)].sort().join(', ');
  const message = `Mail comes to MTA ${names} from addresses of the cluster`;
  return [condition('ClientIPNotPreserved', 'True', 'ClientIPNotPreserved', message)];
}

const overlaps = new WeakMap<
  RangeList,
  WeakMap<InboundGateway['spec'], { readonly covered: string | undefined }>
>();

function rememberedOverlap(list: RangeList, gateway: Gateway): string | undefined {
  const known = overlaps.get(list) ?? new WeakMap();
  overlaps.set(list, known);
  const remembered = known.get(gateway.object.spec) ?? {
    covered: firstOverlap(parsedRanges(list), gateway.ranges),
  };
  known.set(gateway.object.spec, remembered);
  return remembered.covered;
}

/** The first range of the gateway that shares an address with the list. */
function firstOverlap(entries: readonly Range[], ranges: readonly Range[]): string | undefined {
  const allowed = coverOf(entries);
  const gateway = coverOf(ranges);
  const within = entries.find((entry) => isCovered(entry, gateway));
  const around = ranges.find((range) => isCovered(range, allowed));
  if (around !== undefined) return formatRange(around);
  return within === undefined ? undefined : formatRange(within);
}
