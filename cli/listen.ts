import { formatListenAddress, listenAddress } from '../mta/options.ts';

/** Reads the value of an option that is `address:port`. @throws InvalidArgumentError */
export function listen(text: string): string {
  return formatListenAddress(listenAddress(text));
}
