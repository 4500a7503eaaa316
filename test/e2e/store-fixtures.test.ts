import { cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createStage, type Stage } from './programs.ts'
import { enter } from './raw-device.ts'
import { bodies, castOf, devicesOf, fixtures, makeFixture, startRelay } from './store-fixtures.ts'

vi.setConfig({ testTimeout: 60_000 })

let stage: Stage
beforeEach(() => {
  stage = createStage()
})
afterEach(() => stage.close())

const making = process.env['PARLEY_MAKE_FIXTURE']
it.runIf(making !== undefined)('makes the fixture that PARLEY_MAKE_FIXTURE names: only when a version is released', () =>
  makeFixture(stage, join(fixtures, making ?? '')),
)

describe.each(readdirSync(fixtures).filter((name) => name.startsWith('relay-')))('the store of %s', (name) => {
  it('opens, and what stands in it is delivered', async () => {
    const data = stage.path('data')
    cpSync(join(fixtures, name), data, { recursive: true })
    const { url, program } = await startRelay(stage, data)
    const { bob, carol } = devicesOf(castOf(name))
    for (const [device, expected] of [
      [bob, bodies],
      [carol, bodies.slice(1)],
    ] as const) {
      const wire = await enter(url, device, 'login')
      for (const body of expected) expect((await wire.next('stanza')).payload).toBe(`x${body}`)
      wire.close()
    }
    expect((await program.stop()).code).toBe(0)
  })
})
