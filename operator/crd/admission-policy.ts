import { operatorGuards } from './admission-guard.ts';
import { objectRules } from './admission-rules.ts';

/** One entry of `validations`: what must hold, and what the user is told if it does not. */
interface Validation {
  readonly expression: string;
  /** CEL that gives a text; used instead of `message` where the text names objects. */
  readonly messageExpression?: string;
  readonly message: string;
  readonly reason?: 'Forbidden' | 'Invalid';
}

/** `spec` of a ValidatingAdmissionPolicy, in the part that is used here. */
export interface PolicySpec {
  readonly failurePolicy: 'Fail' | 'Ignore';
  readonly paramKind?: { readonly apiVersion: string; readonly kind: string };
  readonly matchConstraints: {
    readonly resourceRules: readonly {
      readonly apiGroups: readonly string[];
      readonly apiVersions: readonly string[];
      readonly operations: readonly string[];
      readonly resources: readonly string[];
    }[];
  };
  readonly matchConditions?: readonly { readonly name: string; readonly expression: string }[];
  readonly variables?: readonly { readonly name: string; readonly expression: string }[];
  readonly validations: readonly Validation[];
}

/** `spec` of a ValidatingAdmissionPolicyBinding without `policyName`, which is the release's to give. */
interface BindingSpec {
  readonly validationActions: readonly ('Deny' | 'Warn')[];
  readonly paramRef?: { readonly selector: object; readonly parameterNotFoundAction: 'Allow' | 'Deny' };
}

/** A policy with its binding. */
export interface AdmissionPolicy {
  readonly policy: PolicySpec;
  readonly binding: BindingSpec;
}

/**
 * Stands in the policies about the operator itself where its user name belongs. The chart puts
 * `system:serviceaccount:<namespace>:<name>` there.
 */
export const operatorUsername = 'OPERATOR_USERNAME';

/**
 * Every admission policy of the cluster chart, by the short name that its objects' names end with: what can only be judged by
 * looking at another object, or at who asks (docs: who enforces a limit). Conditions say the same where the policies are not
 * installed.
 */
export function admissionPolicies(): Record<string, AdmissionPolicy> {
  return { ...objectRules(), ...operatorGuards(operatorUsername) };
}
