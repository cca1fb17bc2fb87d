import { type Document, isMap, isSeq, parseDocument, YAMLMap, YAMLSeq } from 'yaml';

/** A password as it is added to an account. */
export interface NewPassword {
  readonly hash: string;
  readonly label: string;
  /** ISO 8601. */
  readonly expireTime?: string;
}

/** What an account is given when it does not exist yet; of one that exists, what is given is changed. */
export interface AccountSettings {
  readonly kind?: 'User' | 'Relay';
  readonly sendAs?: readonly string[];
  readonly fromRoute?: string;
}

/**
 * Adds a password to an account of an accounts file, and the account if it is not there. Comments and order of the rest stay.
 * @param text empty for a new file.
 * @throws Error if the text is no list of accounts, or if the account has a password of that label.
 */
export function addPassword(
  text: string,
  name: string,
  { hash, label, expireTime }: NewPassword,
  settings: AccountSettings,
): string {
  const { document, accounts } = readList(text);
  let account = findAccount(accounts, name);
  if (account === undefined) {
    account = newMap({ name });
    accounts.add(account);
  }
  for (const [key, value] of Object.entries(settings)) account.set(key, document.createNode(value));
  const hashes = hashesOf(account);
  if (positionsOf(hashes, label).length > 0) {
    throw new Error(
      `account ${name} has a password with the label "${label}": revoke that, or choose another --label`,
    );
  }
  hashes.add(newMap({ hash, label, ...(expireTime !== undefined && { expireTime }) }));
  return document.toString({ lineWidth: 0 });
}

/**
 * Takes passwords of an account away, or the whole account.
 * @param label undefined: the account goes.
 * @throws Error if there is nothing to revoke.
 */
export function revokePassword(text: string, name: string, label: string | undefined): string {
  const { document, accounts } = readList(text);
  const account = findAccount(accounts, name);
  if (account === undefined) throw new Error(`there is no account ${name}`);
  if (label === undefined) accounts.items.splice(accounts.items.indexOf(account), 1);
  else {
    const hashes = hashesOf(account);
    const positions = positionsOf(hashes, label);
    if (positions.length === 0) throw new Error(`account ${name} has no password with the label "${label}"`);
    for (const position of positions.toReversed()) hashes.items.splice(position, 1);
  }
  return document.toString({ lineWidth: 0 });
}

function readList(text: string): { document: Document; accounts: YAMLSeq } {
  const document: Document = parseDocument(text, { logLevel: 'error' });
  // No message of the parser is passed on: it quotes the text, which holds password hashes.
  if (document.errors.length > 0) throw new Error('accounts.yaml of the Secret is no YAML');
  document.contents ??= new YAMLSeq();
  const { contents } = document;
  if (!isSeq(contents)) throw new Error('accounts.yaml of the Secret is no list of accounts');
  contents.flow = false;
  return { document, accounts: contents };
}

function findAccount(accounts: YAMLSeq, name: string): YAMLMap | undefined {
  return accounts.items.find(
    (item): item is YAMLMap => isMap(item) && `${item.get('name')}`.toLowerCase() === name.toLowerCase(),
  );
}

function hashesOf(account: YAMLMap): YAMLSeq {
  const found = account.get('hashes');
  if (isSeq(found)) {
    found.flow = false;
    return found;
  }
  const hashes = new YAMLSeq();
  account.set('hashes', hashes);
  return hashes;
}

function positionsOf(hashes: YAMLSeq, label: string): number[] {
  return hashes.items.flatMap((item, position) =>
    isMap(item) && item.get('label') === label ? [position] : [],
  );
}

function newMap(values: Readonly<Record<string, string>>): YAMLMap {
  const map = new YAMLMap();
  for (const [key, value] of Object.entries(values)) map.set(key, value);
  return map;
}
