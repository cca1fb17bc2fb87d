import { expect, test } from 'vitest';
import { domainPolicy, filterPolicy, policyOf } from '../../policy/fixture.ts';
import { explainTransaction, newSession } from './explain.ts';
import { readMessage } from './message.ts';

test('G17, G19: what only a live message shows is taken to be in order, and the trace says so', async () => {
  const policy = await policyOf([
    domainPolicy('example.com', {
      authentication: { spf: 'Reject', dkim: 'Mark', dmarc: 'Reject', trustedArcSealers: [] },
      contentFilter: filterPolicy({ onFailure: 'Defer', rejectAction: 'Reject' }),
    }),
  ]);
  const { recipients } = explainTransaction(
    policy,
    { peer: '192.0.2.1', tls: false, now: 0 },
    {
      envelopeFrom: 'a@sender.example',
      recipients: ['user@example.com'],
      heloName: 'mx.example.com',
      message: readMessage(Buffer.from('From: a@sender.example\n\ntext\n')),
    },
    newSession,
    () => 'unavailable',
  );
  expect(recipients[0]?.verdict).toMatchObject({ verdict: 'accept', legs: [{ onFailure: 'Dsn' }] });
  for (const [stage, outcome] of [
    ['authentication', 'note'],
    ['content-filter', 'skip'],
  ]) {
    expect(recipients[0]?.trace).toContainEqual({
      stage,
      outcome,
      detail: 'only a live message shows it: taken to have nothing against it',
    });
  }
});
