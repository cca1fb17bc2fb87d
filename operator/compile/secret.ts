import type { Secret } from './model.ts';

const redacted = '[redacted]';

class HiddenValue<T> implements Secret<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  reveal(): T {
    return this.#value;
  }

  toJSON(): string {
    return redacted;
  }

  toString(): string {
    return redacted;
  }

  /** What console.log, util.inspect and assertion messages show. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return redacted;
  }
}

/**
 * Wraps a value that must not be printed: JSON, string conversion, `util.inspect` and own-property listings show
 * `[redacted]` or nothing.
 *
 * @param value given back by `reveal()`, the one word to search for when reviewing who reads secrets
 */
export function secret<T>(value: T): Secret<T> {
  return Object.freeze(new HiddenValue(value));
}
