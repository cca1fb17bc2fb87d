import type { Haraka } from './haraka.ts';
import { shuttingDown, toDsn } from './outcome.ts';
import type { Session } from './session.ts';

/** The end of the process, in order: no new connections, idle ones told and closed, running messages finished. */
export class Drain {
  private readonly haraka: Haraka;
  private readonly sessions = new Set<Session>();
  private active = false;

  constructor(haraka: Haraka) {
    this.haraka = haraka;
  }

  get draining(): boolean {
    return this.active;
  }

  get openSessions(): number {
    return this.sessions.size;
  }

  opened(session: Session): void {
    this.sessions.add(session);
  }

  closed(session: Session): void {
    this.sessions.delete(session);
  }

  /** Stops listening and lets go of every session that is not in the middle of a message. */
  start(): void {
    this.active = true;
    this.haraka.server.stopListeners();
    this.haraka.outbound.temp_fail_queue.shutdown();
    for (const session of this.sessions) this.release(session);
  }

  /** To be called when a session may have become idle; does something only while draining. */
  release(session: Session): void {
    if (!this.active || session.receiving) return;
    const { connection } = session;
    if (shuttingDown.kind !== 'refuse') return;
    connection.respond(421, toDsn(this.haraka, shuttingDown.reply), () => connection.disconnect());
  }
}
