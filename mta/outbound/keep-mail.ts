import type { Haraka, HarakaMail } from '../haraka.ts';

/** Leaves a mail in the queue as it is, and tries it again later. For when nothing can be written. */
function keepMail(mail: HarakaMail, outbound: Haraka['outbound'], seconds: number): void {
  mail.next_cb();
  outbound.temp_fail_queue.add(mail.filename, seconds * 1000, () => outbound.delivery_queue.push(mail));
}

/** Seconds until a mail is tried again whose attempt could not be noted in the queue. */
const unnotedSeconds = 60;

/** The same for a mail that cannot be put off as it should: the attempt that Haraka has counted is not the fault of the other side. */
export function keepUncounted(mail: HarakaMail, outbound: Haraka['outbound']): void {
  mail.num_failures -= 1;
  keepMail(mail, outbound, unnotedSeconds);
}

/**
 * Lets the `bounce` hook answer "later". Whatever else it answers, Haraka removes the mail: also if the report about its failure
 * could not be filed, and then nobody would ever hear of it.
 */
export function keepUnreported({ outbound, constants }: Pick<Haraka, 'outbound' | 'constants'>): void {
  const { prototype } = outbound.HMailItem;
  const respond = prototype.bounce_respond;
  prototype.bounce_respond = function (this: HarakaMail, code, message) {
    if (code === constants.delay) keepMail(this, outbound, Number(message));
    else respond.call(this, code, message);
  };
}
