/** Bytes of a PROXY protocol header of version 2. @param addresses the bytes behind the length. */
export function proxyV2({
  command = 0x21,
  family = 0x00,
  addresses = [],
}: {
  command?: number;
  family?: number;
  addresses?: readonly number[];
}): Buffer {
  const signature = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
  const length = [addresses.length >> 8, addresses.length & 0xff];
  return Buffer.from([...signature, command, family, ...length, ...addresses]);
}

/** PROXY TCP4 from this address. */
export function proxyV2From(address: string): Buffer {
  return proxyV2({
    family: 0x11,
    addresses: [...address.split('.').map(Number), 127, 0, 0, 1, 0x9c, 0x40, 0, 25],
  });
}
