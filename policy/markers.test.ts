import { describe, expect, test } from 'vitest';
import type { DomainPolicy } from '../bundle/domain-policy.ts';
import { domainPolicy, recipients } from './fixture.ts';
import { mailboxLeg, outboundLeg } from './legs.ts';
import { markLeg } from './markers.ts';

const subaddress: DomainPolicy['junk'] = {
  method: 'Subaddress',
  header: { name: 'X-Spam-Flag', spamValue: 'YES', inboxValue: 'NO' },
  subaddress: { delimiter: '+', folder: 'Junk' },
};
const user = { localPart: 'user', domain: 'example.com' };

describe('G18: how a mailbox is told', () => {
  const maildir = domainPolicy('example.com');
  const server = domainPolicy('example.com', { mailbox: { kind: 'Route', route: 'imap' } });

  test('Header: the field says so either way', () => {
    expect(markLeg(mailboxLeg(server, user), server, true)).toMatchObject({
      headers: [['X-Spam-Flag', 'YES']],
      leg: { recipient: 'user@example.com' },
    });
    expect(markLeg(mailboxLeg(server, user), server, false).headers).toEqual([['X-Spam-Flag', 'NO']]);
  });

  test.each([
    ['user', 'user+Junk@example.com'],
    ['user+tag', 'user+Junk@example.com'],
    ['own+tag', 'own+tag+Junk@example.com'],
  ])('Subaddress: spam for %s goes to %s', (localPart, recipient) => {
    const domain = { ...server, junk: subaddress, recipients: recipients(['own+tag', 'user']) };
    const leg = mailboxLeg(domain, { ...user, localPart });
    expect(markLeg(leg, domain, true)).toMatchObject({ headers: [], leg: { recipient } });
    expect(markLeg(leg, domain, false)).toEqual({ leg, headers: [] });
  });

  test('a Maildir has a folder for spam', () => {
    expect(markLeg(mailboxLeg(maildir, user), maildir, true).folder).toBe('Junk');
    expect(markLeg(mailboxLeg(maildir, user), maildir, false).folder).toBeUndefined();
  });

  test('mail that leaves is not marked', () => {
    const leg = outboundLeg(maildir, { localPart: 'x', domain: 'elsewhere.example' });
    expect(markLeg(leg, maildir, true)).toEqual({ leg, headers: [] });
  });
});
