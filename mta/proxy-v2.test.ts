import { describe, expect, test } from 'vitest';
import { proxyV2 } from '../test/wire/proxy-header.ts';
import { proxyLine, readProxyHeader } from './proxy-v2.ts';

const v4 = proxyV2({ family: 0x11, addresses: [192, 0, 2, 1, 198, 51, 100, 2, 0x9c, 0x40, 0, 25] });
const v6Addresses = [
  ...[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
  ...[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7],
  ...[0, 80, 1, 0],
];

test.each([
  ['TCP over IPv4', v4, 'PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n'],
  [
    'TCP over IPv6',
    proxyV2({ family: 0x21, addresses: v6Addresses }),
    'PROXY TCP6 2001:db8::1 ::ffff:192.0.2.7 80 256\r\n',
  ],
  [
    'extensions behind the addresses',
    proxyV2({ family: 0x11, addresses: [192, 0, 2, 1, 198, 51, 100, 2, 0x9c, 0x40, 0, 25, 4, 0, 1, 0] }),
    'PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n',
  ],
])('G14: %s is read, whatever follows', (_what, header, line) => {
  const read = readProxyHeader(Buffer.concat([header, Buffer.from('EHLO x\r\n')]));
  expect(read).toMatchObject({ kind: 'client', bytes: header.length });
  expect(read.kind === 'client' && proxyLine(read.client)).toBe(line);
});

test('G14: every beginning of a header is partial, never something else', () => {
  for (let length = 0; length < v4.length; length += 1) {
    expect(readProxyHeader(v4.subarray(0, length))).toEqual({ kind: 'partial' });
  }
});

test.each(['PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\n', 'EHLO x\r\n', '\x16\x03\x01', '\r\n\r\nEHLO x\r\n'])(
  'G14: %j is no header of version 2',
  (bytes) => {
    expect(readProxyHeader(Buffer.from(bytes, 'latin1'))).toEqual({ kind: 'absent' });
  },
);

test('G14: LOCAL says nothing about a client, whatever addresses it carries', () => {
  for (const header of [
    proxyV2({ command: 0x20 }),
    proxyV2({ command: 0x20, family: 0x11, addresses: v6Addresses }),
  ])
    expect(readProxyHeader(header)).toEqual({ kind: 'local', bytes: header.length });
});

describe('G14: refused is', () => {
  test.each([
    ['another version', proxyV2({ command: 0x11, family: 0x11, addresses: [...v4.subarray(16)] })],
    ['an unknown command', proxyV2({ command: 0x22, family: 0x11, addresses: [...v4.subarray(16)] })],
    ['an unknown family', proxyV2({ family: 0x00 })],
    ['UDP', proxyV2({ family: 0x12, addresses: [...v4.subarray(16)] })],
    ['a UNIX socket', proxyV2({ family: 0x31, addresses: Array.from({ length: 216 }, () => 0x2f) })],
    [
      'a length below that of the addresses',
      proxyV2({ family: 0x11, addresses: [192, 0, 2, 1, 198, 51, 100, 2] }),
    ],
    ['a length beyond reason', Buffer.concat([v4.subarray(0, 14), Buffer.from([0xff, 0xff])])],
  ])('%s', (_what, header) => {
    expect(readProxyHeader(header)).toMatchObject({ kind: 'malformed' });
  });
});
