import type { HarakaOutbound } from '../haraka.ts';

type WaitingRoom = Pick<HarakaOutbound['temp_fail_queue'], 'queue' | 'fire' | 'add'>;

/** Milliseconds by which the clock may drift from the one that is never set; what is more was set by somebody. */
const drift = 30_000;

/**
 * Keeps waiting mail on its schedule when the clock is set (X25). Haraka notes the time of day at which each mail is due: a clock that
 * is set forward would make all of them due at once, one that is set back would hold them up for as long.
 * @param now time of day, milliseconds.
 * @param monotonic milliseconds of a clock that nobody sets.
 */
export function followClock(
  room: WaitingRoom,
  now: () => number = Date.now,
  monotonic: () => number = () => performance.now(),
): void {
  const fire = room.fire.bind(room);
  const add = room.add.bind(room);
  let offset = now() - monotonic();
  const follow = () => {
    const jump = now() - monotonic() - offset;
    if (Math.abs(jump) <= drift) return;
    offset += jump;
    // All by the same, so their order stays.
    for (const mail of room.queue) mail.fire_time += jump;
  };
  room.fire = () => {
    follow();
    fire();
  };
  // What comes now is due by the new clock already.
  room.add = (id, milliseconds, fired) => {
    follow();
    return add(id, milliseconds, fired);
  };
}
