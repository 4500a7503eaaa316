import { createSchedule, createSimDisk, createSimRandom, type Schedule, type SimClock, type SimDisk } from '@parley/core/sim'
import type { MailboxWorld } from '../src/compliance.ts'
import { createMailbox, type MailboxOptions } from '../src/index.ts'
import type { MailboxLimits } from '../src/limits.ts'

export type TestWorld = MailboxWorld & { readonly disk: SimDisk; readonly schedule: Schedule; readonly clock: SimClock }

/** A simulated disk that outlives the mailboxes on it. */
export function createTestWorld(
  limits: Partial<MailboxLimits> = {},
  { seed = 1, give, quotaOf, onFull }: { readonly seed?: number } & Pick<MailboxOptions, 'give' | 'quotaOf' | 'onFull'> = {},
): TestWorld {
  const random = createSimRandom(seed)
  const schedule = createSchedule({ settle: () => new Promise((done) => setImmediate(done)) })
  const disk = createSimDisk({ random: random.fork('disk'), schedule })
  const clock = schedule.clock()
  return {
    disk,
    schedule,
    clock,
    open: ({ countMax = 1000, restored = false } = {}) =>
      createMailbox({
        store: disk.open(),
        random,
        clock,
        restored,
        limits: { countMax, positionBlock: 8, ...limits },
        ...(give === undefined ? {} : { give }),
        ...(quotaOf === undefined ? {} : { quotaOf }),
        ...(onFull === undefined ? {} : { onFull }),
      }),
    crash: () => disk.crash(),
    now: () => clock.now(),
    advance: (ms) => clock.jump(ms),
  }
}
