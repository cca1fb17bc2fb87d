// The network of a test cluster. 198.18.0.0/15 is set aside for measuring devices (RFC 2544, RFC 6890), so that it is nobody's.

/** What pods get; one node, so one range. */
export const podRange = '198.18.0.0/24';
export const serviceRange = '198.18.1.0/24';
/** The wire between this machine and the node. */
export const linkPrefix = 24;
export const nodeAddress = '198.18.2.1';
/** This machine, as the node and its pods see it. */
export const hostAddress = '198.18.2.2';
/** Further addresses of this machine, for clients that IP lists tell apart. */
export const clientAddresses: readonly string[] = Array.from(
  { length: 40 },
  (_, index) => `198.18.2.${index + 10}`,
);
export const clusterDomain = 'cluster.local';
