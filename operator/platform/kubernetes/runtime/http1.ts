// HTTP/1.1: a connection for each exchange. For kubeconfigs with a proxy, plain http, and servers that speak nothing newer.
import http from 'node:http';
import https from 'node:https';
import { type Answer, type Outgoing, silence, TCP_KEEP_ALIVE_MS } from './transport.ts';

export interface Http1Transport {
  /** @throws Error if there is no answer */
  send(outgoing: Outgoing): Promise<Answer>;
  /** Closes all connections. */
  close(): void;
}

/** @param throughProxy whether the kubeconfig's own agent is used: it makes connections through a proxy, and keeps none */
export function createHttp1Transport(server: URL, throughProxy: boolean): Http1Transport {
  const transport = server.protocol === 'https:' ? https : http;
  const agentOptions = { keepAlive: true, keepAliveMsecs: TCP_KEEP_ALIVE_MS };
  const ownAgent =
    server.protocol === 'https:' ? new https.Agent(agentOptions) : new http.Agent(agentOptions);

  function send(outgoing: Outgoing): Promise<Answer> {
    const { method, path, headers, body, signal, idleMs, credentials } = outgoing;
    return new Promise((resolve, reject) => {
      const agent = throughProxy ? (credentials.agent ?? ownAgent) : ownAgent;
      const request = transport.request(new URL(path, server), {
        ...credentials,
        agent,
        method,
        signal,
        headers,
      });
      request.once('error', (error) => {
        // The server may close an idle connection in the moment we take it up again: nothing was done, ask again.
        if (request.reusedSocket && method === 'GET' && 'code' in error && error.code === 'ECONNRESET') {
          resolve(send(outgoing));
        } else reject(error);
      });
      let answer: http.IncomingMessage | undefined;
      request.once('response', (response) => {
        answer = response;
        resolve({ code: response.statusCode ?? 0, headers: response.headers, body: response });
      });
      if (idleMs !== undefined) {
        // Destroying the request once it is answered would tell the reader "aborted", and not why.
        request.setTimeout(idleMs, () => (answer ?? request).destroy(silence(idleMs)));
      }
      request.end(body);
    });
  }

  return { send, close: () => ownAgent.destroy() };
}
