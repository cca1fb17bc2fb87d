import { Address } from '@haraka/email-address';
import type { Leg } from '../../bundle/leg.ts';
import { canonicalDomain, parseMailbox } from '../../policy/mailbox.ts';
import { markLeg } from '../../policy/markers.ts';
import { reportLegs } from '../../policy/report-legs.ts';
import { fallbackSigners, signersOfDomain } from '../../policy/signer.ts';
import type { HarakaMail } from '../haraka.ts';
import type { Runtime } from '../runtime.ts';
import { signMessage } from '../signer/signature.ts';
import { formatDsn, statusOf } from './dsn.ts';

/** More of a header than this is not sent back. */
const maxHeaderBytes = 65_536;

/**
 * Reports the failure of a leg to the sender of its mail (RFC 3464), signed for the domain of the postmaster. Only for mail
 * whose sender is proven: anybody else's would be backscatter (G9).
 * @returns false if there is nobody to report to: the sender is a mailbox that does not exist here any more.
 * @throws Error if the report cannot be filed.
 */
export async function reportFailure(
  runtime: Runtime,
  mail: HarakaMail,
  leg: Leg,
  reason: string,
): Promise<boolean> {
  const { bundles, settings, signingKeys } = runtime;
  const { heloName, postmaster } = settings;
  const sender = parseMailbox(mail.todo.mail_from.address);
  const loaded = bundles.current;
  if (loaded === undefined) throw new Error('there is no policy that says where the report goes');
  if (sender === undefined) return false;
  const legs = reportLegs(loaded.policy, leg, sender);
  if (legs.length === 0) return false;
  const now = runtime.now();
  const id = `${mail.todo.uuid}.dsn`;
  const report = formatDsn(
    {
      sender: mail.todo.mail_from.address,
      recipient: leg.recipient,
      status: statusOf(reason),
      reason,
      header: await headerOf(mail),
      arrived: mail.todo.queue_time,
    },
    { heloName, postmaster, id, now: now * 1000 },
  );
  const domain = canonicalDomain(postmaster.slice(postmaster.lastIndexOf('@') + 1));
  const { keys, missing } = signingKeys.findFirst(
    [signersOfDomain(loaded.policy, domain), fallbackSigners(loaded.policy)],
    loaded.secrets,
  );
  // A report that is not signed is better than none: no tenant's name stands in its From.
  if (missing.length > 0)
    runtime.log.error({ event: 'signing', id, missing }, 'keys for a report are not here');
  const signature = Buffer.from(await signMessage(report, keys, now));
  await runtime.store.file(
    {
      id,
      from: new Address('<>'),
      marked: legs.map((leg) => markLeg(leg, loaded.policy.domains.get(leg.domain)?.policy, false)),
      wire: Buffer.concat([signature, report]),
      policy: loaded.policy,
    },
    { expired: false },
  );
  runtime.metrics.legsFiled('reports', legs);
  return true;
}

async function headerOf(mail: HarakaMail): Promise<string> {
  let text = '';
  for await (const chunk of mail.data_stream()) {
    text += chunk.toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    if (end !== -1 && end <= maxHeaderBytes) return text.slice(0, end + 2);
    if (text.length > maxHeaderBytes) return text.slice(0, text.lastIndexOf('\r\n', maxHeaderBytes) + 2);
  }
  return text;
}
