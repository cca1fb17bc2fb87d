import { rename, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import type { MailDomain } from '../../operator/api/index.ts';
import type { Snapshot } from '../../operator/compile/model.ts';
import { accountsKey, accountsUse, readAccounts } from '../../operator/compile/submission.ts';
import { parseMailbox } from '../../policy/mailbox.ts';
import { type AccountSettings, addPassword, revokePassword } from '../account/accounts-file.ts';
import { hashPassword, makePassword } from '../account/app-password.ts';
import { Misuse } from '../failure.ts';
import { type Format, formatTable, outputOption, printAnswer } from '../output.ts';
import type { Shell } from '../shell.ts';
import { loadSnapshot } from '../snapshot.ts';
import { addSource, namespaceOf, requireSource, type SourceFlags } from '../source.ts';

interface AccountFlags extends SourceFlags {
  readonly output: Format;
}

interface ChangeFlags extends AccountFlags {
  readonly label?: string;
  readonly apply?: boolean;
  readonly out?: string;
}

interface AddFlags extends ChangeFlags {
  readonly label: string;
  readonly expires?: string;
  readonly kind?: 'User' | 'Relay';
  readonly sendAs?: readonly string[];
  readonly fromRoute?: string;
}

interface RevokeFlags extends ChangeFlags {
  readonly all?: boolean;
}

const examples = `
Examples:
  postern account add alice@example.com --label phone -n mail --apply
  postern account add alice@example.com --label phone -f policy --out policy/accounts.yaml
  postern account add printer@example.com --kind Relay --send-as '*@example.com' -n mail --apply
  postern account revoke alice@example.com --label phone -n mail --apply
  postern account list -n mail

The password is made here, shown once on stderr and kept nowhere. The Secret stands on stdout, in
a file with --out, or goes to the cluster with --apply. A change acts within one reload of the MTA.`;

/** `postern account`: who may send, and with which passwords. */
export function accountCommand(shell: Shell): Command {
  const add = change('add', 'Make an app password for an account, and the account if it is not there.')
    .option('--label <text>', 'what the password is for', 'default')
    .option('--expires <time>', 'when it stops to work, such as 2027-01-31T00:00:00Z')
    .addOption(
      new Option('--kind <kind>', 'a person, or a machine that sends for many').choices(['User', 'Relay']),
    )
    .option('--send-as <address...>', 'more addresses that it may send as; *@domain for a Relay')
    .option('--from-route <route>', 'mail of this account comes back from that Route')
    .action((name: string, flags: AddFlags) => addAccount(shell, name, flags));
  const revoke = change('revoke', 'Take a password of an account away, or the account.')
    .option('--label <text>', 'the password that goes')
    .option('--all', 'the account goes, with all its passwords')
    .action((name: string, flags: RevokeFlags) => revokeAccount(shell, name, flags));
  const list = new Command('list')
    .description('Say which accounts there are and what their passwords are for; no password, no hash.')
    .addOption(outputOption())
    .action((flags: AccountFlags) => listAccounts(shell, flags));
  return new Command('account')
    .description('Make and revoke app passwords for sending mail.')
    .addHelpText('after', examples)
    .addCommand(addSource(add))
    .addCommand(addSource(revoke))
    .addCommand(addSource(list));
}

function change(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .argument('<account>', 'its full address')
    .option('--out <file>', 'write the Secret to this file, once all is read (mode 600)')
    .option('--apply', 'with -n: write the Secret to the cluster instead of printing it')
    .addOption(outputOption());
}

async function addAccount(shell: Shell, asked: string, flags: AddFlags): Promise<void> {
  const { label, expires, kind, sendAs, fromRoute } = flags;
  const expireTime = expires === undefined ? undefined : timeOf(expires);
  const password = makePassword();
  const hash = await hashPassword(password);
  const settings: AccountSettings = {
    ...(kind !== undefined && { kind }),
    ...(sendAs !== undefined && { sendAs }),
    ...(fromRoute !== undefined && { fromRoute }),
  };
  const name = asked.toLowerCase();
  await changeSecret(shell, name, flags, (text) =>
    addPassword(text, name, { hash, label, ...(expireTime !== undefined && { expireTime }) }, settings),
  );
  // Last, so that nobody notes a password down that was not taken.
  shell.warn(`password of ${name} (${label}): ${password}`);
}

async function revokeAccount(shell: Shell, name: string, flags: RevokeFlags): Promise<void> {
  if ((flags.label === undefined) === (flags.all === undefined))
    throw new Misuse('say what goes: --label TEXT for one password, or --all for the account');
  await changeSecret(shell, name, flags, (text) => revokePassword(text, name, flags.label));
}

async function listAccounts(shell: Shell, flags: AccountFlags): Promise<void> {
  const snapshot = await readSnapshot(shell, flags);
  const accounts = mailDomains(snapshot).flatMap((domain) => {
    const text = textOf(snapshot, domain.spec.submission.accountsSecretRef?.name);
    if (text === undefined) return [];
    return readAccounts(text, domain.spec.domain, { routes: new Set() }).accounts.map(
      ({ name, kind, hashes, sendAs, fromRoute }) => ({
        name,
        kind,
        enabled: domain.spec.submission.enabled,
        sendAs,
        ...(fromRoute !== undefined && { fromRoute }),
        passwords: hashes.map(({ label = '', expires }) => ({
          label,
          ...(expires !== undefined && { expireTime: new Date(expires * 1000).toISOString() }),
        })),
      }),
    );
  });
  printAnswer(shell, flags.output, { accounts }, () =>
    formatTable(
      ['ACCOUNT', 'KIND', 'ENABLED', 'PASSWORDS'],
      accounts.map(({ name, kind, enabled, passwords }) => [
        name,
        kind,
        enabled ? 'yes' : 'no',
        passwords
          .map(({ label, expireTime }) =>
            expireTime === undefined ? label : `${label} (until ${expireTime})`,
          )
          .join(', '),
      ]),
    ),
  );
}

/** Reads the Secret of the account's domain, changes it, checks what came out, and prints or applies it. */
async function changeSecret(
  shell: Shell,
  account: string,
  flags: ChangeFlags,
  edit: (text: string) => string,
): Promise<void> {
  if (flags.apply === true && flags.folder !== undefined)
    throw new Misuse('--apply writes to a cluster: with -f, put what is printed into the folder');
  const snapshot = await readSnapshot(shell, flags);
  const { domain, secretName } = findPlace(snapshot, account);
  const edited = (text: string) => {
    const result = edit(text);
    const routes = new Set(
      snapshot.objects.filter(({ kind }) => kind === 'Route').map(({ metadata }) => metadata.name),
    );
    const before = text === '' ? [] : readAccounts(text, domain, { routes }).faults;
    const [fault] = readAccounts(result, domain, { routes }).faults.filter((one) => !before.includes(one));
    if (fault !== undefined) throw new Misuse(`${account}: ${fault}`);
    return result;
  };
  if (flags.apply === true) {
    const { withCluster } = await import('../cluster.ts');
    const { editSecret } = await import('../account/secret-edit.ts');
    const place = { namespace: namespaceOf(flags), name: secretName, key: accountsKey, use: accountsUse };
    await withCluster(flags, (client) => editSecret(client, place, edited));
    shell.warn(`Secret ${secretName} is written`);
    return;
  }
  const manifest = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: secretName,
      ...(flags.namespace !== undefined && { namespace: flags.namespace }),
      labels: { 'postern.dev/use': accountsUse },
    },
    stringData: { [accountsKey]: edited(textOf(snapshot, secretName) ?? '') },
  };
  if (flags.out !== undefined) await replaceFile(flags.out, stringify(manifest, { lineWidth: 0 }));
  else if (flags.output === 'table') shell.write(stringify(manifest, { lineWidth: 0 }));
  else printAnswer(shell, flags.output, manifest, () => '');
}

async function readSnapshot(shell: Shell, flags: SourceFlags): Promise<Snapshot> {
  const { snapshot, problems, readsSecrets } = await loadSnapshot(shell, requireSource(flags), shell.now());
  shell.warnProblems(problems);
  if (!readsSecrets) throw new Error('the Secrets of the namespace may not be read, and accounts lie in one');
  return snapshot;
}

/** As a whole or not at all: whoever watches the folder reads either the old one or the new one. */
async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}`);
  await writeFile(temporary, text, { mode: 0o600 });
  await rename(temporary, path);
}

/** The domain of an account, and the Secret that its MailDomain names. */
function findPlace(snapshot: Snapshot, account: string): { domain: string; secretName: string } {
  const domain = parseMailbox(account)?.domain;
  if (domain === undefined) throw new Misuse(`${account}: is no address; an account is a full address`);
  const found = mailDomains(snapshot).find(({ spec }) => spec.domain === domain);
  if (found === undefined) throw new Misuse(`${account}: there is no MailDomain for ${domain}`);
  const { enabled, accountsSecretRef } = found.spec.submission;
  const where = `MailDomain/${found.metadata.name}`;
  if (!enabled || accountsSecretRef === undefined) {
    throw new Misuse(
      `${where}: set spec.submission.enabled to true and name a Secret in spec.submission.accountsSecretRef first`,
    );
  }
  return { domain, secretName: accountsSecretRef.name };
}

function mailDomains({ objects }: Snapshot): MailDomain[] {
  return objects.filter((object) => object.kind === 'MailDomain');
}

function textOf({ secrets }: Snapshot, name: string | undefined): string | undefined {
  const data = secrets.find((record) => record.name === name)?.data;
  const bytes = data !== undefined && Object.hasOwn(data, accountsKey) ? data[accountsKey] : undefined;
  return bytes === undefined ? undefined : Buffer.from(bytes.reveal()).toString('utf8');
}

function timeOf(text: string): string {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new Misuse(`--expires ${text}: is no time; write 2027-01-31T00:00:00Z`);
  return new Date(time).toISOString();
}
