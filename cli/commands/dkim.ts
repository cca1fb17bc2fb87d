import { Command } from 'commander';
import { stringify } from 'yaml';
import { compile } from '../../operator/compile/compile.ts';
import type { Snapshot, Translation } from '../../operator/compile/model.ts';
import { nextStep, type RotationStep } from '../dkim/rotation.ts';
import { answerNo, Misuse } from '../failure.ts';
import { type Format, outputOption, printAnswer } from '../output.ts';
import type { Shell } from '../shell.ts';
import { loadSnapshot } from '../snapshot.ts';
import { addSource, requireSource, type SourceFlags } from '../source.ts';

interface RotateFlags extends SourceFlags {
  readonly name?: string;
  readonly selector?: string;
  readonly output: Format;
}

const examples = `
Examples:
  postern dkim rotate mail-key -n mail | kubectl apply -f -
  postern dkim rotate mail-key -f policy
  postern dkim rotate mail-key -n mail -o json

Call it again after each step: it makes a second key (Standby), waits for its record, swaps the two (Active, Retired), and
says when the old record may go. What is to be applied stands on stdout, what is to be done by hand on stderr.
The exit code is 1 as long as there is nothing to do but to wait.`;

/** `postern dkim`: what the life of a key needs a hand for. */
export function dkimCommand(shell: Shell): Command {
  const rotate = new Command('rotate')
    .description('Say the next step of replacing a DkimKey by a new one, and print its manifests.')
    .argument('<dkimkey>', 'name of the DkimKey that is to be replaced')
    .option('--name <name>', 'name of the new DkimKey (default: the old name and the date)')
    .option('--selector <selector>', 'selector of the new key (default: the old one and the date)')
    .addOption(outputOption())
    .addHelpText('after', examples)
    .action((key: string, flags: RotateFlags) => rotateKey(shell, key, flags));
  return new Command('dkim').description('Replace DKIM keys.').addCommand(addSource(rotate));
}

async function rotateKey(shell: Shell, key: string, flags: RotateFlags): Promise<void> {
  const now = shell.now();
  const { snapshot, problems } = await loadSnapshot(shell, requireSource(flags), now);
  shell.warnProblems(problems);
  const keys = snapshot.objects.filter((object) => object.kind === 'DkimKey');
  const old = keys.find(({ metadata }) => metadata.name === key);
  if (old === undefined) {
    const names = keys.map(({ metadata }) => metadata.name).join(', ');
    throw new Misuse(`there is no DkimKey ${key}: there is ${names || 'none'}`);
  }
  const step = nextStep({
    old,
    keys,
    ...(flags.namespace !== undefined && { namespace: flags.namespace }),
    ...(flags.name !== undefined && { name: flags.name }),
    ...(flags.selector !== undefined && { selector: flags.selector }),
    queueLifetimeSeconds: queueLifetimeOf(snapshot, compile(snapshot), old.spec.domainRef.name),
    now,
  });
  if (flags.output === 'table') {
    shell.warn(advice(step));
    if ('manifests' in step) shell.write(step.manifests.map((each) => stringify(each)).join('---\n'));
  } else printAnswer(shell, flags.output, step, () => '');
  if (step.step === 'publish' || step.step === 'keepRecord') shell.exit(answerNo);
}

/** Of the MTA that serves the domain; if none does, the longest one. */
function queueLifetimeOf(snapshot: Snapshot, { mtas }: Translation, mailDomain: string): number {
  const domain = snapshot.objects.find(
    ({ kind, metadata }) => kind === 'MailDomain' && metadata.name === mailDomain,
  );
  const name = domain?.kind === 'MailDomain' ? domain.spec.mta : undefined;
  const lifetimes = mtas
    .filter(({ mta }) => mta === name)
    .map(({ settings }) => settings.queueLifetimeSeconds);
  return lifetimes[0] ?? Math.max(5 * 86_400, ...mtas.map(({ settings }) => settings.queueLifetimeSeconds));
}

function advice(step: RotationStep): string {
  switch (step.step) {
    case 'create':
      return `Apply this second key and publish the record that its status will show; ${again}`;
    case 'publish': {
      const { key, reason, record } = step;
      const what =
        record === undefined ? 'its status has no record yet' : `publish ${record.name} TXT ${record.value}`;
      return `DkimKey/${key} is not Published (${reason}): ${what}. The old key goes on signing; ${again}`;
    }
    case 'switch':
      return `The record of DkimKey/${step.key} is published: apply both. Leave the old record where it is; ${again}`;
    case 'keepRecord':
      return `DkimKey/${step.key} signs no more. Leave its record ${step.record} until ${step.until}: mail that it has signed is still on its way.`;
    case 'remove':
      return `The record ${step.record} is not needed any more: remove it, then delete DkimKey/${step.key}.`;
  }
}

const again = 'then call this command again.';
