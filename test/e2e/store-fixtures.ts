/**
 * Stores of relays as each release wrote them, in test/fixtures: made once with `PARLEY_MAKE_FIXTURE=NAME vitest run test/e2e/store-fixtures`,
 * opened by every later version. They hold what a relay can hold: accounts, stanzas beside and in shared bodies, a queue to another domain.
 * @module
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { generateKey, type Jwk } from '@parley/jose'
import { systemRandom as random } from '@parley/platform/system'
import { ready, type Stage } from './programs.ts'
import { enter, frame, makeDevice, type RawDevice } from './raw-device.ts'

export const fixtures: string = fileURLToPath(new URL('../fixtures', import.meta.url))

/** Who is in a fixture, with the keys made for it. */
export type Cast = { readonly alice: Jwk; readonly bob: Jwk; readonly carol: Jwk }

// Stanzas of a fixture must outlive the fixture: 2100-01-01.
const expiry = 4_102_444_800_000
/** A relay takes such an expiry only with this. */
export const longLife: object = { limits: { lifetimeMs: expiry } }

export const bodies: readonly string[] = ['for bob alone', `for bob and carol ${'.'.repeat(1000)}`]
export const queued = 'towards b.localhost'

/** Starts a relay of a.localhost on the folder; it never finds b.localhost. */
export async function startRelay(stage: Stage, data: string) {
  const config = `${data}.json`
  writeFileSync(config, JSON.stringify({ ...longLife, routes: ['b.localhost=ws://127.0.0.1:9'] }))
  const program = stage.relayProgram({ domain: 'a.localhost', data, args: ['--config', config] })
  return { url: `ws://127.0.0.1:${await ready(program)}`, program }
}

export function castOf(name: string): Cast {
  return JSON.parse(readFileSync(join(fixtures, name, 'keys.json'), 'utf8')) as Cast
}

export function devicesOf(cast: Cast): { readonly alice: RawDevice; readonly bob: RawDevice; readonly carol: RawDevice } {
  return {
    alice: makeDevice('alice@a.localhost', cast.alice),
    bob: makeDevice('bob@a.localhost', cast.bob),
    carol: makeDevice('carol@a.localhost', cast.carol),
  }
}

/** Fills `folder` with `store` and `keys.json`, by a relay of this version. */
export async function makeFixture(stage: Stage, folder: string): Promise<void> {
  const make = (): Jwk => generateKey('Ed25519', { random })
  const cast: Cast = { alice: make(), bob: make(), carol: make() }
  mkdirSync(folder, { recursive: true })
  const { url, program } = await startRelay(stage, folder)
  const devices = devicesOf(cast)
  for (const each of [devices.bob, devices.carol]) (await enter(url, each, 'register')).close()
  const wire = await enter(url, devices.alice, 'register')
  const send = async (n: number, to: readonly string[], body: string): Promise<void> => {
    const id = `urn:uuid:00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
    const { address: from, id: device } = devices.alice
    const entries = [['*', 1]]
    wire.send(
      frame({ t: 'stanza', c: n, n, id, from, device, to, class: 'durable', sent: Date.now(), expiry, entries }, `x${body}`),
    )
    const { bounced } = await wire.next('ack')
    if (Array.isArray(bounced) && bounced.length > 0) throw new Error(JSON.stringify(bounced))
  }
  await send(1, ['bob@a.localhost'], bodies[0] ?? '')
  await send(2, ['bob@a.localhost', 'carol@a.localhost'], bodies[1] ?? '')
  await send(3, ['dave@b.localhost'], queued)
  wire.close()
  await program.stop()
  rmSync(`${folder}.json`)
  writeFileSync(join(folder, 'keys.json'), `${JSON.stringify(cast, null, 2)}\n`)
}
