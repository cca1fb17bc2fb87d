import type { DomainPolicy } from '../../bundle/domain-policy.ts';
import { compareText } from '../../bundle/shards.ts';
import type { MailDomain } from '../api/index.ts';
import { type ConditionInput, condition } from './conditions.ts';
import type { CompileOptions } from './model.ts';
import { hostFault } from './route-host.ts';

/** Accepted=False if the content filter of a domain is where no Route may lead either (R7): messages would be posted there. */
export function contentFilterFault(object: MailDomain, options: CompileOptions): ConditionInput | undefined {
  const url = object.spec.contentFilter?.rspamd.url;
  if (url === undefined) return undefined;
  const host = URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, '') : undefined;
  const fault = host === undefined ? `${url} is no URL` : hostFault(host, options);
  if (fault === undefined) return undefined;
  const message = `spec.contentFilter.rspamd.url: ${fault}; the filter is not asked`;
  return condition('Accepted', 'False', host === undefined ? 'Invalid' : 'HostNotAllowed', message);
}

/** The content filter of a domain as the MTA asks it. */
export function contentFilterOf(
  object: MailDomain,
  options: CompileOptions,
): Pick<DomainPolicy, 'contentFilter'> {
  const filter = object.spec.contentFilter;
  if (filter === undefined || contentFilterFault(object, options) !== undefined) return {};
  const { rspamd, onFailure, rejectAction, virusSymbols } = filter;
  return {
    contentFilter: {
      rspamdUrl: rspamd.url,
      onFailure,
      rejectAction,
      virusSymbols: virusSymbols.toSorted(compareText),
    },
  };
}
