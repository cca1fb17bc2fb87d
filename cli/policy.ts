import type { MtaPolicy, Snapshot, Translation } from '../operator/compile/model.ts';
import { parseMailbox } from '../policy/mailbox.ts';

/**
 * The MTA of a namespace that is asked about: the one that is named, or the one that serves the first address with a domain of
 * this namespace, or else the first.
 * @throws Error that says why there is no such MTA.
 */
export function chooseMta(
  snapshot: Snapshot,
  translation: Translation,
  choice: { readonly mta?: string; readonly addresses?: readonly string[] },
): MtaPolicy {
  const { mtas } = translation;
  const hosts = (policy: MtaPolicy, address: string): boolean => {
    const domain = parseMailbox(address)?.domain;
    return policy.bundle.domains.some((hosted) => hosted.domain === domain);
  };
  const [hosting] = (choice.addresses ?? []).flatMap((address) =>
    mtas.filter((policy) => hosts(policy, address)),
  );
  const chosen = choice.mta === undefined ? (hosting ?? mtas[0]) : mtas.find(({ mta }) => mta === choice.mta);
  if (chosen !== undefined) return chosen;
  const broken = snapshot.mtas.flatMap(({ name, settings }) =>
    settings.ok ? [] : [`MTA ${name}: ${settings.problem}`],
  );
  if (broken.length > 0) throw new Error(broken.join('\n'));
  const names = mtas.map(({ mta }) => mta).join(', ');
  throw new Error(
    choice.mta === undefined
      ? `namespace ${snapshot.namespace} has no MTA to ask`
      : `namespace ${snapshot.namespace} has no MTA ${choice.mta}: there is ${names || 'none'}`,
  );
}
