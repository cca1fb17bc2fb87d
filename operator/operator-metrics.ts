import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** What GET /metrics of the operator tells. */
export interface OperatorMetrics {
  readonly registry: Registry;
  reconciled(namespace: string, result: 'ok' | 'error', seconds: number): void;
  /** Drops the series of a namespace that is not served any more. */
  forget(namespace: string): void;
  leads(isLeader: boolean): void;
}

/** One condition of one object, as its status says it now. */
export interface ConditionSample {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
}

/** What is asked for whenever metrics are read. */
export interface OperatorMetricsSources {
  /** Namespaces that wait to be reconciled now. */
  readonly queueDepth: () => number;
  readonly conditions: () => Iterable<ConditionSample>;
}

export function createOperatorMetrics({ queueDepth, conditions }: OperatorMetricsSources): OperatorMetrics {
  const registry = new Registry();
  const registers = [registry];
  const total = new Counter({
    name: 'postern_reconcile_total',
    help: 'Reconciles of a namespace, by result.',
    labelNames: ['namespace', 'result'],
    registers,
  });
  const duration = new Histogram({
    name: 'postern_reconcile_seconds',
    help: 'Time of one reconcile of a namespace.',
    buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const leader = new Gauge({ name: 'postern_leader', help: '1 while this replica reconciles.', registers });
  new Gauge({
    name: 'postern_queue_depth',
    help: 'Namespaces that wait to be reconciled.',
    registers,
    collect() {
      this.set(queueDepth());
    },
  });
  // One series for each condition, of the status that it has: no more than objects times condition types, and none is left behind.
  new Gauge({
    name: 'postern_condition',
    help: '1 for the status that a condition of an object has.',
    labelNames: ['kind', 'namespace', 'name', 'type', 'status'],
    registers,
    collect() {
      this.reset();
      for (const { kind, namespace, name, type, status } of conditions())
        this.set({ kind, namespace, name, type, status }, 1);
    },
  });
  return {
    registry,
    reconciled(namespace, result, seconds) {
      total.inc({ namespace, result });
      duration.observe(seconds);
    },
    forget(namespace) {
      for (const result of ['ok', 'error']) total.remove({ namespace, result });
    },
    leads: (isLeader) => leader.set(isLeader ? 1 : 0),
  };
}
