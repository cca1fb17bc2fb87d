/** The parts of Haraka in which work is spared. */
export interface Spared {
  readonly config: { get(name: string, ...how: unknown[]): unknown };
  readonly os: { hostname(): string };
  readonly logger: { readonly loglevel: number; readonly levels: Readonly<Record<string, number>> };
  readonly constants: { translate(value: number | undefined): string };
  readonly resultStore: { readonly prototype: ResultStore };
  /** What has a method `logdebug`, and one for each other level. */
  readonly logging: readonly { readonly prototype: object }[];
}

interface ResultStore {
  add: StoreResult;
  push: StoreResult;
}

type StoreResult = (
  this: unknown,
  plugin: unknown,
  result: { readonly emit?: unknown; err?: unknown },
) => unknown;

/** Files that Haraka reads, and copies deeply, for each connection and transaction; they do not change while it runs. */
const readOnce: ReadonlySet<string> = new Set(['me', 'results.ini']);

/**
 * What Haraka works out anew each time is asked once, and what it works out for nobody is left out: with each connection and message
 * that is more work than all judgements of them.
 */
export function spareWork({ config, os, logger, constants, resultStore, logging }: Spared): void {
  const host = os.hostname();
  os.hostname = () => host;
  const read = config.get;
  config.get = once(
    (name: string, ...how: unknown[]) => read.call(config, name, ...how),
    (name) => readOnce.has(name),
  );
  constants.translate = once(constants.translate, () => true);
  for (const { prototype } of logging) skipUnlogged(prototype, logger);
  keepNoResults(resultStore.prototype);
}

/** Remembers answers by their first argument, where `isFixed` says that they stay the same. */
function once<Argument, More extends unknown[], Answer>(
  ask: (argument: Argument, ...more: More) => Answer,
  isFixed: (argument: Argument) => boolean,
): (argument: Argument, ...more: More) => Answer {
  const known = new Map<Argument, Answer>();
  return (argument, ...more) => {
    const before = known.get(argument);
    if (before !== undefined) return before;
    const answer = ask(argument, ...more);
    if (isFixed(argument)) known.set(argument, answer);
    return answer;
  };
}

/** Each hook and reply calls some methods for levels that log.ini, which is read at the start, has turned off. */
function skipUnlogged(prototype: object, { loglevel, levels }: Spared['logger']): void {
  for (const [name, level] of Object.entries(levels)) {
    const method = `log${name.toLowerCase()}`;
    if (level > loglevel && method in prototype) Reflect.set(prototype, method, () => undefined);
  }
}

/** Results are there for plugins that Postern does not load; only what is to be logged is worth keeping. */
function keepNoResults(store: ResultStore): void {
  for (const method of ['add', 'push'] as const) {
    const original = store[method];
    store[method] = function (plugin, result) {
      return result.emit || result.err ? original.call(this, plugin, result) : undefined;
    };
  }
}
