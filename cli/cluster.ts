import { KubeConfig } from '@kubernetes/client-node';
import { ApiError } from '../operator/platform/kubernetes/runtime/api-error.ts';
import {
  type ApiClient,
  createApiClient,
  loadKubeConfig,
} from '../operator/platform/kubernetes/runtime/client.ts';
import { Misuse } from './failure.ts';

/** Which cluster is meant; without either, the one that kubectl would use. */
export interface ClusterFlags {
  readonly kubeconfig?: string;
  readonly context?: string;
}

/**
 * Asks the API server, and closes the connections afterwards.
 *
 * @throws Misuse if the kubeconfig cannot be used
 * @throws Error that says what the API server refuses
 */
export async function withCluster<T>(
  flags: ClusterFlags,
  ask: (client: ApiClient) => Promise<T>,
): Promise<T> {
  const client = createApiClient(readKubeConfig(flags));
  try {
    return await ask(client);
  } catch (error) {
    throw error instanceof ApiError ? new Error(explain(error), { cause: error }) : error;
  } finally {
    client.close();
  }
}

function readKubeConfig({ kubeconfig, context }: ClusterFlags): KubeConfig {
  try {
    if (context === undefined) return loadKubeConfig(kubeconfig);
    const config = new KubeConfig();
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
    if (config.getContextObject(context) === null) {
      const names = config.getContexts().map(({ name }) => name);
      throw new Error(`no context ${context}: there is ${names.join(', ') || 'none'}`);
    }
    config.setCurrentContext(context);
    return config;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Misuse(`${kubeconfig === undefined ? 'kubeconfig' : `--kubeconfig ${kubeconfig}`}: ${reason}`);
  }
}

function explain({ code, message }: ApiError): string {
  if (code === 0) return `the API server does not answer: ${message}`;
  if (code === 401) return `${message}: log in to the cluster first`;
  if (code === 404) return `${message}: are the CRDs of postern.dev installed?`;
  return message;
}
