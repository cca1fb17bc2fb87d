import { domainName, object, oneOf, text } from './field.ts';
import { limits } from './limits.ts';
import { setOf } from './list.ts';
import { matches, withRules } from './rule.ts';

/** `MailDomain.spec.contentFilter` (G17). */
export const contentFilter = object(
  'The content filter that is asked about every message, except where an allow list or a gateway skips it.',
  {
    rspamd: object('An rspamd server.', {
      url: withRules(
        text('Address of its normal worker, such as http://rspamd:11333.', { min: 8, max: 512 }),
        [
          matches(
            '^https?://([A-Za-z0-9.-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$',
            'must be an http or https URL of host, port and path',
          ),
        ],
      ),
    }),
    onFailure: oneOf(
      'What happens when the filter does not answer. Accept: mail passes unfiltered. Defer: 451.',
      ['Accept', 'Defer'],
    ).default('Accept'),
    rejectAction: oneOf('What its verdict "reject" means. Junk: filed as spam. Reject: 550.', [
      'Junk',
      'Reject',
    ]).default('Junk'),
    virusSymbols: setOf(
      'Symbols that mean a virus: the message is refused with 550, also where the spam filter is skipped.',
      withRules(text('Name of a symbol.', { min: 1, max: 128 }), [
        matches('^[A-Za-z0-9_]+$', 'must be letters, digits and underscores'),
      ]),
      { max: limits.virusSymbols },
    ).default([]),
  },
);

/** `MailDomain.spec.authentication` (G19, D16). */
export const authentication = object('What SPF, DKIM and DMARC of the sender decide.', {
  spf: oneOf('Mark: the result is written into the message. Reject: a fail is refused with 550 5.7.23.', [
    'Disabled',
    'Mark',
    'Reject',
  ]).default('Mark'),
  dkim: oneOf('Mark: the result is written into the message.', ['Disabled', 'Mark']).default('Mark'),
  dmarc: oneOf(
    'Quarantine: a fail is filed as spam if the domain publishes p=quarantine or p=reject. Reject: it is refused with 550 5.7.26 if the domain publishes p=reject.',
    ['Disabled', 'Mark', 'Quarantine', 'Reject'],
  ).default('Quarantine'),
  trustedArcSealers: setOf(
    'Forwarders and lists whose valid ARC seal lets the result they recorded stand where DMARC fails.',
    domainName('Domain of a sealer.'),
    { max: limits.trustedArcSealers },
  ).default([]),
});
