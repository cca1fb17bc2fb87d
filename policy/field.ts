/** Fields that decide without an entry of a list: what `because.entry` says for them, and what `resolveRef` tries. */
export const fields = {
  recipients: 'spec.recipients',
  postmaster: 'spec.postmaster',
  maxMessageBytes: 'spec.limits.maxMessageBytes',
  submission: 'spec.submission',
  recipientsPerHour: 'spec.submission.limits.recipientsPerHour',
  onlyFromGateway: 'spec.onlyFromGateway',
  authentication: 'spec.authentication',
  contentFilter: 'spec.contentFilter',
  trustedAuthservId: 'spec.trustedAuthservId',
  gatewayAddresses: 'spec.addresses',
  internalMailViaGateway: 'spec.internalMailViaGateway',
  skipContentFilter: 'spec.spam.skipContentFilter',
} as const;

/** `spec.inboundRouting[External,Unknown]` */
export function routingField(match: string, target: string): string {
  return `spec.inboundRouting[${match},${target}]`;
}

/** `spec.outboundRouting[External]` */
export function outboundField(match: string): string {
  return `spec.outboundRouting[${match}]`;
}
