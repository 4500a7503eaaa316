/**
 * What is looked at besides messages: plaintext where relays can see it, and, when the faults have stopped, whether
 * anything is stuck.
 */
import { isJsonObject, parseJson } from '@parley/core'
import type { World } from '@parley/testing'
import { secrets } from './ledger.ts'

/** One macrotask turn, in which promises settle. */
export const settle = (): Promise<void> => new Promise((done) => setImmediate(done))

/** Records every frame; answers the secrets that stood on a link, and those that stand in a relay's store now. */
export function watchForPlaintext(world: World): () => readonly string[] {
  const seen = new Set<string>()
  world.network.onFrame = ({ from, to, bytes }) => {
    for (const secret of within(bytes)) seen.add(`${secret} on the link from ${from} to ${to}`)
  }
  return () => {
    for (const { name, disk } of world.relays)
      for (const value of disk.contents().values())
        for (const secret of within(value)) seen.add(`${secret} in the store of ${name}`)
    return [...seen]
  }
}

function within(bytes: Uint8Array): readonly string[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return secrets.filter((secret) => text.includes(secret))
}

/** Starts everything that is down; what cannot start is tried again by the caller. */
export async function restartAll(world: World): Promise<void> {
  for (const process of [...world.relays, ...world.devices])
    if (!process.isUp) await world.settled(process.start().catch(() => {}))
}

/** What a network at rest must not have: runs and locked messages whose time is over and that go on all the same. */
export function stuck(world: World): readonly string[] {
  return world.devices.flatMap((device) => {
    const { name } = device
    if (!device.isUp) return [`${name} is down`]
    const over = device.clock.now() - graceMs
    // Runs wait by a time that goes on when the clock is set back.
    const runsOver = Math.max(device.clock.now(), steadyTime(device.disk.contents().get('age/agent'))) - graceMs
    const locked = device.agent
      .locked()
      .flatMap(({ cause, deadline }) => (deadline < over ? [`a message at ${name} is locked beyond its deadline: ${cause}`] : []))
    const runs = [...device.disk.contents()].flatMap(([key, octets]) =>
      key.startsWith('thread/') && activeUntil(octets) < runsOver ? [`a run of ${name} is stuck: ${key}`] : [],
    )
    return [...locked, ...runs]
  })
}

/** What is due is done within this time. */
const graceMs = 60_000

/** The time of an agent's waits when it was last noted. */
function steadyTime(octets: Uint8Array | undefined): number {
  const row = octets === undefined ? undefined : parseJson(octets)
  return row?.ok === true && isJsonObject(row.value) ? Number(row.value['steady'] ?? 0) : 0
}

/** The next deadline of an active run, by its stored record. */
function activeUntil(octets: Uint8Array): number {
  const row = parseJson(octets)
  if (!row.ok || !isJsonObject(row.value) || row.value['status'] !== 'active') return Number.POSITIVE_INFINITY
  const { deadlines } = row.value
  // An active run without a deadline waits for ever.
  if (!Array.isArray(deadlines) || deadlines.length === 0) return Number.NEGATIVE_INFINITY
  return Math.min(...deadlines.map((deadline) => (isJsonObject(deadline) ? Number(deadline['at']) : Number.NaN)))
}
