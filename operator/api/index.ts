import type { KindName } from '../../bundle/source.ts';
import { dkimKey } from './dkim-key.ts';
import { inboundGateway } from './inbound-gateway.ts';
import { ipAccessList } from './ip-access-list.ts';
import type { ObjectOf } from './kind.ts';
import { mailDomain } from './mail-domain.ts';
import { type ParseResult, parserOf } from './parse.ts';
import { route } from './route.ts';
import { tlsPolicy } from './tls-policy.ts';

export type { KindName } from '../../bundle/source.ts';
export { apiVersion, group } from './kind.ts';
export { limits } from './limits.ts';
export { type MtaSettings, mtaConfigMapName, mtaSettingsKey, parseMtaSettings } from './mta-settings.ts';
export type { ParseResult } from './parse.ts';
export { type Problem, problemText } from './problem.ts';
export { type ConditionType, conditionTypes, type ReasonOf } from './reasons.ts';
export { type Condition, isConditionType } from './status.ts';

/** All kinds, in the order in which a tenant usually writes them. */
export const kinds = [mailDomain, route, ipAccessList, inboundGateway, tlsPolicy, dkimKey] as const;

export type MailDomain = ObjectOf<typeof mailDomain>;
export type Route = ObjectOf<typeof route>;
export type IpAccessList = ObjectOf<typeof ipAccessList>;
export type InboundGateway = ObjectOf<typeof inboundGateway>;
export type TlsPolicy = ObjectOf<typeof tlsPolicy>;
export type DkimKey = ObjectOf<typeof dkimKey>;

/** The object type of each kind, by its name. */
export type ObjectByKind = {
  MailDomain: MailDomain;
  Route: Route;
  IpAccessList: IpAccessList;
  InboundGateway: InboundGateway;
  TlsPolicy: TlsPolicy;
  DkimKey: DkimKey;
};

/** An object of any kind; `kind` tells which. */
export type PosternObject = ObjectByKind[KindName];

/** The status of any kind. */
export type ObjectStatus = NonNullable<PosternObject['status']>;

const parsers: { [K in KindName]: (raw: unknown) => ParseResult<ObjectByKind[K]> } = {
  MailDomain: parserOf(mailDomain),
  Route: parserOf(route),
  IpAccessList: parserOf(ipAccessList),
  InboundGateway: parserOf(inboundGateway),
  TlsPolicy: parserOf(tlsPolicy),
  DkimKey: parserOf(dkimKey),
};

/**
 * Parses one object of a kind, as written or as the API server returns it.
 *
 * @param raw the object as plain data; a missing namespace means `default`
 * @returns the object with all defaults filled in, or every problem found, in the words of the API server
 */
export function parseObject<K extends KindName>(kind: K, raw: unknown): ParseResult<ObjectByKind[K]> {
  return parsers[kind](raw);
}
