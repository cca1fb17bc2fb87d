import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Leg } from '../bundle/leg.ts';
import type { LegCounts, TlsResult } from '../bundle/state.ts';
import type { Because } from '../policy/types.ts';

/** Prometheus metrics of one MTA process, all named postern_mta_*. */
export class Metrics {
  readonly registry = new Registry();
  private readonly connections = { smtp: 0, submission: 0 };
  private openConnections = 0;
  private readonly verdicts = this.counter('verdicts_total', 'Answers to recipients and messages', [
    'domain',
    'kind',
    'object',
    'verdict',
    'stage',
  ]);
  private readonly audited = this.counter(
    'audited_total',
    'Refusals that an object in Audit would have made',
    ['domain', 'kind', 'object'],
  );
  private readonly messages = this.counter('messages_total', 'Messages by how they ended', ['outcome']);
  private readonly deliveries = this.counter('deliveries_total', 'Delivery attempts by result', [
    'route',
    'result',
  ]);
  private readonly tlsFailures = this.counter(
    'partner_tls_failures_total',
    'Sessions without the TLS that a TlsPolicy requires, by result type of RFC 8460',
    ['domain', 'result'],
  );
  /**
   * Every leg has one beginning and one end: accepted + reports + found + adopted = delivered + bounced + ledger + handedOver + those in
   * the queue.
   */
  private readonly legs: LegCounts = {
    accepted: 0,
    reports: 0,
    found: 0,
    adopted: 0,
    delivered: 0,
    bounced: 0,
    ledger: 0,
    handedOver: 0,
  };
  private readonly ledgerEntries = this.counter('ledger_total', 'Failures that nobody was told of', [
    'domain',
    'entry',
  ]);
  private readonly faults = this.counter('faults_total', 'Failures of our own, each answered with 451', [
    'hook',
  ]);
  private readonly recipientLookups = this.counter(
    'recipient_lookups_total',
    'Recipients that a Route was asked for, by its answer',
    ['route', 'answer'],
  );
  private readonly loads = this.counter('bundle_loads_total', 'Policy bundles read', ['result']);

  private readonly certificates = this.counter('certificate_loads_total', 'TLS certificates read', [
    'result',
  ]);
  private readonly certificateExpiry = this.gauge(
    'certificate_expiry_timestamp_seconds',
    'When the TLS certificate in use expires; 0 without one',
  );

  /**
   * @param queue numbers of queue files.
   * @param routes whether the last probe of each Route came through.
   */
  constructor(
    queue: { size: () => { size: number; deferred: number }; held: () => number },
    routes: () => ReadonlyMap<string, boolean>,
  ) {
    collectDefaultMetrics({ register: this.registry, prefix: 'postern_mta_' });
    this.totals('connections_total', 'SMTP connections taken', 'listener', this.connections);
    this.gauge('open_connections', 'SMTP connections open now', () => this.openConnections);
    this.totals(
      'legs_total',
      'Recipients on their way to one destination: how they began (accepted, reports, found in the queue at the start, adopted from another pod) and ended (delivered, bounced with a report, ledger, handedOver to another pod)',
      'fate',
      this.legs,
    );
    this.gauge(
      'queue_messages',
      'Mails in the queue, one per recipient and destination',
      () => queue.size().size,
    );
    const reachable: Gauge<'route'> = new Gauge({
      name: 'postern_mta_route_reachable',
      help: '1 if the last probe of the Route came through, 0 if not',
      labelNames: ['route'],
      registers: [this.registry],
      collect: () => {
        reachable.reset();
        for (const [route, isReachable] of routes()) reachable.set({ route }, isReachable ? 1 : 0);
      },
    });
    this.gauge(
      'queue_deferred',
      'Queue files that wait for their next attempt, held ones among them',
      () => queue.size().deferred,
    );
    this.gauge('queue_held', 'Queue files that an administrator holds', queue.held);
  }

  recipientLookup(route: string, answer: string): void {
    this.recipientLookups.inc({ route, answer });
  }

  connectionOpened(listener: 'smtp' | 'submission'): void {
    this.connections[listener] += 1;
    this.openConnections += 1;
  }

  connectionClosed(): void {
    this.openConnections -= 1;
  }

  /**
   * @param domain a hosted domain, or `other`: what clients make up must not become label values.
   * @param stage a message counts once for each hosted domain of its recipients.
   */
  verdict(
    domain: string,
    because: Because | undefined,
    verdict: string,
    stage: 'recipient' | 'message',
  ): void {
    this.verdicts.inc({ domain, kind: because?.kind ?? '', object: because?.name ?? '', verdict, stage });
  }

  /** What would have been refused, had the object not been in Audit (G15); labels as in `verdict`. */
  auditedRefusal(domain: string, { kind, name }: Because): void {
    this.audited.inc({ domain, kind, object: name });
  }

  message(outcome: 'accepted' | 'refused' | 'deferred'): void {
    this.messages.inc({ outcome });
  }

  delivery(route: string, result: 'delivered' | 'deferred' | 'failed'): void {
    this.deliveries.inc({ route, result });
  }

  /** @param domain the hosted domain that sends; partners are no label values: `*.` in a TlsPolicy stands for any number of them. */
  partnerTlsFailure(domain: string, result: TlsResult): void {
    this.tlsFailures.inc({ domain, result });
  }

  legsFiled(fate: 'accepted' | 'reports', legs: readonly Leg[]): void {
    this.countLegs(fate, legs.length);
    // A Maildir is where they were going to.
    this.countLegs('delivered', legs.filter(({ hop }) => hop.kind === 'Maildir').length);
  }

  legsFound(count: number): void {
    this.countLegs('found', count);
  }

  /** From another pod of the MTA that ends. */
  legAdopted(): void {
    this.countLegs('adopted', 1);
  }

  legEnded(fate: 'delivered' | 'bounced' | 'ledger' | 'handedOver'): void {
    this.countLegs(fate, 1);
  }

  legCounts(): LegCounts {
    return { ...this.legs };
  }

  private countLegs(fate: keyof LegCounts, count: number): void {
    this.legs[fate] += count;
  }

  /** @param domain the hosted domain whose leg failed, or `other`. */
  ledgerEntry(domain: string, entry: string): void {
    this.ledgerEntries.inc({ domain, entry });
  }

  fault(hook: string): void {
    this.faults.inc({ hook });
  }

  /** @param expires seconds since the epoch. */
  certificateLoaded(expires: number): void {
    this.certificates.inc({ result: 'loaded' });
    this.certificateExpiry.set(expires);
  }

  certificateFailed(): void {
    this.certificates.inc({ result: 'failed' });
  }

  bundleLoad(result: 'loaded' | 'failed'): void {
    this.loads.inc({ result });
  }

  private counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    return new Counter({ name: `postern_mta_${name}`, help, labelNames, registers: [this.registry] });
  }

  /** Numbers that are counted with every connection or message: they become a counter when somebody reads it. */
  private totals(name: string, help: string, label: string, numbers: Readonly<Record<string, number>>): void {
    const counter: Counter = new Counter({
      name: `postern_mta_${name}`,
      help,
      labelNames: [label],
      registers: [this.registry],
      collect: () => {
        counter.reset();
        for (const [value, number] of Object.entries(numbers)) counter.inc({ [label]: value }, number);
      },
    });
  }

  private gauge(name: string, help: string, read?: () => number): Gauge {
    const gauge: Gauge = new Gauge({
      name: `postern_mta_${name}`,
      help,
      registers: [this.registry],
      ...(read && { collect: () => gauge.set(read()) }),
    });
    return gauge;
  }
}
