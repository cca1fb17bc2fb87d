import type { Case } from './cases/case.ts';
import { dkimKeyCases } from './cases/dkim-key.ts';
import { inboundGatewayCases } from './cases/inbound-gateway.ts';
import { ipAccessListCases } from './cases/ip-access-list.ts';
import { mailDomainCases } from './cases/mail-domain.ts';
import { routeCases } from './cases/route.ts';
import { tlsPolicyCases } from './cases/tls-policy.ts';

/** The one table: the zod parse (parse.test.ts) and the real API server (server.test.ts) must agree on every row. */
export const cases: readonly Case[] = [
  ...mailDomainCases,
  ...routeCases,
  ...ipAccessListCases,
  ...inboundGatewayCases,
  ...tlsPolicyCases,
  ...dkimKeyCases,
];
