import { once } from 'node:events';
import http from 'node:http';

export interface OperatorServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly isReady: () => boolean;
  readonly metrics: () => Promise<string>;
}

export interface OperatorServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** Serves /healthz, /readyz and /metrics. @throws the system's error if the address cannot be had. */
export async function startOperatorServer({
  host,
  port,
  isReady,
  metrics,
}: OperatorServerOptions): Promise<OperatorServer> {
  const server = http.createServer((request, response) => {
    const answer = (code: number, text: string) =>
      response.writeHead(code, { 'content-type': 'text/plain' }).end(text);
    switch (request.url) {
      case '/healthz':
        return answer(200, 'ok\n');
      case '/readyz':
        return isReady() ? answer(200, 'ok\n') : answer(503, 'caches are not full yet\n');
      case '/metrics':
        return metrics().then(
          (text) => answer(200, text),
          (error: unknown) => answer(500, `${String(error)}\n`),
        );
      default:
        return answer(404, 'there is /healthz, /readyz and /metrics\n');
    }
  });
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
