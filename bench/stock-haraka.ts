/** connection.ini as Haraka ships it. */
export const stockConnectionIni = `[main]
[haproxy]
[headers]
max_lines=1000
max_received=100
[max]
bytes=26214400
mime_parts=1000
line_length=512
data_line_length=992
[message]
helo=Haraka is at your service.
close=closing connection. Have a jolly good day.
[uuid]
banner_chars=6
deny_chars=0
`;

/** Source of a plugin that lets everybody relay, and sends all mail to one server. Nothing is looked up. */
export function relayPlugin(next: { readonly host: string; readonly port: number }): string {
  return `
exports.hook_lookup_rdns = (next) => next(OK, 'x');
exports.hook_rcpt = (next, connection) => {
  connection.relaying = true;
  next(OK);
};
exports.hook_get_mx = (next) => next(OK, { priority: 0, exchange: '${next.host}', port: ${next.port} });
`;
}

/** outbound.ini as Haraka ships it, but for the next hop: it may be on this machine. */
export const stockOutboundIni = `[main]
local_mx_ok=true
`;
