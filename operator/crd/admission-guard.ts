import { group } from '../api/kind.ts';
import type { AdmissionPolicy } from './admission-policy.ts';

/** Fields of a StatefulSet's spec beside its template (apps/v1 as of Kubernetes 1.35). */
export const statefulSetFields = [
  'replicas',
  'selector',
  'serviceName',
  'podManagementPolicy',
  'updateStrategy',
  'revisionHistoryLimit',
  'minReadySeconds',
  'volumeClaimTemplates',
  'persistentVolumeClaimRetentionPolicy',
  'ordinals',
];

/** Metadata that users and controllers act on; the server's own (managedFields, generation) changes with every write. */
const metadataFields = ['labels', 'ownerReferences', 'finalizers'];

/**
 * What the operator may change on pods, claims and StatefulSets: annotations of ours, and nothing else. RBAC knows verbs, not fields, so
 * without these a stolen token of the operator could give an MTA another image.
 *
 * @param username the operator's, as the API server sees it
 */
export function operatorGuards(username: string): Record<string, AdmissionPolicy> {
  return {
    'operator-pods': guard(username, '', 'pods', [
      same('spec'),
      ...metadataFields.map((field) => same(`metadata.?${field}`)),
      onlyOurAnnotations('object.metadata', 'oldObject.metadata'),
    ]),
    'operator-claims': guard(username, '', 'persistentvolumeclaims', [
      same('spec'),
      ...metadataFields.map((field) => same(`metadata.?${field}`)),
      onlyOurAnnotations('object.metadata', 'oldObject.metadata'),
    ]),
    'operator-stateful-sets': guard(username, 'apps', 'statefulsets', [
      ...metadataFields.map((field) => same(`metadata.?${field}`)),
      same('metadata.?annotations'),
      ...statefulSetFields.map((field) => same(`spec.?${field}`)),
      same('spec.template.spec'),
      // Controllers copy these to the pods.
      same('spec.template.metadata.?labels'),
      same('spec.template.metadata.?finalizers'),
      onlyOurAnnotations('object.spec.template.metadata', 'oldObject.spec.template.metadata'),
    ]),
  };
}

function guard(
  username: string,
  apiGroup: string,
  resource: string,
  rules: readonly string[],
): AdmissionPolicy {
  return {
    policy: {
      failurePolicy: 'Fail',
      matchConstraints: {
        resourceRules: [
          {
            apiGroups: [apiGroup],
            apiVersions: ['*'],
            operations: ['*'],
            resources: [resource, `${resource}/*`],
          },
        ],
      },
      matchConditions: [{ name: 'operator', expression: `request.userInfo.username == '${username}'` }],
      validations: [
        {
          expression: "request.operation == 'UPDATE' && request.?subResource.orValue('') == ''",
          message: `the operator may do nothing with ${resource} but update their annotations`,
          reason: 'Forbidden',
        },
        {
          expression: `request.operation != 'UPDATE' || (${rules.join(' && ')})`,
          message: `the operator may change nothing of ${resource} but annotations that begin with ${group}/`,
          reason: 'Forbidden',
        },
      ],
    },
    binding: { validationActions: ['Deny'] },
  };
}

function same(path: string): string {
  return `object.${path} == oldObject.${path}`;
}

function onlyOurAnnotations(now: string, before: string): string {
  const of = (metadata: string) => `${metadata}.?annotations.orValue({})`;
  const kept = (from: string, to: string) =>
    `${of(from)}.all(k, k.startsWith('${group}/') || (k in ${of(to)} && ${of(to)}[k] == ${of(from)}[k]))`;
  return `${kept(now, before)} && ${kept(before, now)}`;
}
