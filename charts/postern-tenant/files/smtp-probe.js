// helm test: greets the MTA, and asks it to relay to a domain that nobody has. Only an MTA that has loaded a policy refuses that with
// 550 5.7.1; without one it answers 421. Ends with 0 if it did, else with 1 and one line that says what came instead.
const [host, port] = process.argv.slice(1);
const script = [
  [/^220 /, 'EHLO helm-test.invalid'],
  [/^250 /, 'MAIL FROM:<>'],
  [/^250 /, 'RCPT TO:<nobody@helm-test.invalid>'],
  [/^550 5\.7\.1 /, 'QUIT'],
  [/^221 /, undefined],
];
const fail = (text) => {
  console.error(`helm test: ${host}:${port}: ${text}`);
  process.exit(1);
};
const socket = require('node:net').connect(Number(port), host);
socket.setTimeout(20000, () => fail('no answer in 20 s'));
socket.on('error', (error) => fail(error.message));
socket.on('close', () => fail('the connection was closed'));
require('node:readline')
  .createInterface({ input: socket })
  .on('line', (line) => {
    console.log(line);
    if (/^[0-9]{3}-/.test(line)) return;
    const [expected, next] = script.shift();
    if (!expected.test(line)) fail(`${expected} expected, got: ${line}`);
    if (next === undefined) process.exit(0);
    socket.write(`${next}\r\n`);
  });
