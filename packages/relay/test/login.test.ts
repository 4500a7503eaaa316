import { type Connection, utf8 } from '@parley/core'
import { generateKey, importKey } from '@parley/jose'
import { c2sProtocol, readFrame, streamCodes, streamLimits, writeFrame } from '@parley/stream'
import { describe, expect, it } from 'vitest'
import type { OnWire } from '../src/link.ts'
import { createWorld, type RelayTestOptions, type World } from './network.ts'

async function scene(options: RelayTestOptions = {}) {
  const world = createWorld()
  const relay = await world.relay('a.example', options)
  const account = world.account('alice@a.example', 2)
  const device = world.device(account, { relay })
  return { world, relay, account, device }
}

/** A connection without any client on it. */
async function bare(world: World, port: number) {
  const seen = { frames: [] as unknown[], closed: undefined as string | undefined, at: 0 }
  let connection: Connection | undefined
  world.network
    .transport('stranger')
    .dial(`ws://sim:${port}`, { subprotocols: [c2sProtocol], frameBytesMax: 2 ** 20, timeoutMs: 1000 })
    .then((dialled) => {
      connection = dialled
      dialled.start({
        onFrame(bytes) {
          const read = readFrame(bytes)
          seen.frames.push(read.ok ? read.frame : read.code)
        },
        onClose(code, reason) {
          seen.closed = `${code} ${reason}`
          seen.at = world.schedule.time()
        },
      })
    })
  await world.until(() => seen.frames.length === 1 || seen.closed !== undefined)
  return { seen, send: (bytes: Uint8Array) => connection?.send(bytes) }
}

describe('registration', () => {
  it('opens an account with its first card, and once more when the answer was lost', async () => {
    const { device, world } = await scene()
    await device.online({ register: true })
    expect(device.events[0]).toMatchObject({ kind: 'ready', welcome: { account: 'registered' } })
    device.drop()
    await world.pass(100)
    await device.online({ register: true })
    expect(device.events[1]).toMatchObject({ kind: 'ready', welcome: { account: 'known' } })
  })

  it('is refused where it is closed', async () => {
    const { device } = await scene({ registration: 'closed' })
    await expect(device.online({ register: true })).rejects.toThrow('registration-closed')
  })

  it('does not give an address away twice', async () => {
    const { device, world, relay } = await scene()
    await device.online({ register: true })
    const thief = world.device(world.account('alice@a.example'), { relay })
    await expect(thief.online({ register: true })).rejects.toThrow('address-taken')
    device.drop()
    await world.pass(100)
    await device.online()
  })

  it('is refused for a card of another address, another device or no statement', async () => {
    const { world, relay } = await scene()
    const account = world.account('carol@a.example')
    const other = world.account('dave@a.example')
    account.cards.splice(0, 1, ...other.cards)
    const device = world.device(account, { relay })
    await expect(device.online({ register: true })).rejects.toThrow('registration-refused')
  })

  it('stops at the limit of accounts', async () => {
    const { world, relay, device } = await scene({ limits: { accountsMax: 1 } })
    await device.online({ register: true })
    const next = world.device(world.account('bob@a.example'), { relay })
    await expect(next.online({ register: true })).rejects.toThrow('registration-refused')
  })
})

describe('login', () => {
  it('is refused alike, after the same time, for a wrong key, an unknown device and an unknown account', async () => {
    const { world, relay, device } = await scene()
    await device.online({ register: true })
    const times: number[] = []
    const stranger = world.device(world.account('nobody@a.example'), { relay })
    const impostor = world.device(world.account('alice@a.example'), { relay })
    for (const [who, signer] of [
      [stranger, undefined],
      [impostor, undefined],
      [device, importKey(generateKey('Ed25519', { random: world.random }))],
    ] as const) {
      who.drop()
      await world.pass(100)
      let sentAt = 0
      const connecting = who.connect({
        ...(signer === undefined ? {} : { signer }),
        connection: (connection) => {
          const send = connection.send.bind(connection)
          connection.send = (frame) => {
            sentAt ||= world.schedule.time()
            send(frame)
          }
        },
      })
      await world.until(() => who.fatal !== undefined)
      await connecting
      expect(who.fatal).toBe('login-refused')
      times.push(world.schedule.time() - sentAt)
    }
    // The refusal itself waits 200 ms; the rest is the simulated network.
    for (const time of times) expect(time).toBeGreaterThanOrEqual(200)
    for (const time of times) expect(time).toBeLessThanOrEqual(220)
  })

  it('ends the connection that the device had, and says whether it was another incarnation', async () => {
    const { world, relay, account, device } = await scene()
    await device.online({ register: true })
    const again = world.device(account, { relay })
    await again.online()
    await world.until(() => device.fatal !== undefined)
    expect(device.fatal).toBe('superseded')
    expect(again.events[0]).toMatchObject({ welcome: { cloned: false } })
    const clone = world.device(account, { relay })
    clone.inc = 'BBBBBBBBBBB'
    await clone.online()
    await world.until(() => again.fatal !== undefined)
    expect(again.fatal).toBe('device-cloned')
    expect(clone.events[0]).toMatchObject({ welcome: { cloned: true } })
  })

  it('tells a device with an old store how far it had come', async () => {
    const { world, relay, account, device } = await scene()
    await device.online({ register: true })
    const bob = world.device(world.account('bob@a.example'), { relay })
    await bob.online({ register: true })
    bob.send(device.address, 'one')
    await world.until(() => device.texts.length === 1)
    await world.pass(500)
    const old = world.device(account, { relay })
    await old.online()
    expect(old.events[0]).toMatchObject({ welcome: { position: device.position?.n } })
  })

  it('ends a device that claims to have handled what it was never sent', async () => {
    const { world, device } = await scene()
    await device.online({ register: true })
    device.drop()
    await world.pass(100)
    device.position = { epoch: device.position?.epoch ?? '', n: 9 }
    await expect(device.online()).rejects.toThrow('ack-beyond')
  })

  it('must come within its time', async () => {
    const { world, relay } = await scene()
    const started = world.schedule.time()
    const { seen } = await bare(world, relay.port)
    await world.until(() => seen.closed !== undefined)
    expect(seen.closed).toBe('4004 login-timeout')
    expect(seen.at - started).toBeLessThan(5100)
  })

  it.each([
    ['no frame', utf8('?'), '4001 frame-malformed'],
    ['a frame of 4 KiB and one', new Uint8Array(4097), '4002 frame-too-large'],
    ['a stanza', writeFrame({ t: 'request', id: '1', what: 'status', value: {} }), '4003 frame-unexpected'],
  ])('is not %s', async (_, frame, closed) => {
    const { world, relay } = await scene()
    const { seen, send } = await bare(world, relay.port)
    send(frame)
    await world.until(() => seen.closed !== undefined)
    expect(seen.closed).toBe(closed)
    expect(seen.frames.at(-1)).toMatchObject({ t: 'error', code: closed.slice(5) })
  })

  it('is told to come in a smaller frame, and no more is read of what is far too large', async () => {
    let bytesRead = 0
    const onWire: OnWire = (direction, { length }) => {
      if (direction === 'in') bytesRead += length
    }
    const { world, relay } = await scene({ onWire })
    for (const [bytes, frames] of [
      [4097, 1],
      [2 ** 20, 1],
      [4096, 1],
      [4096, 100],
    ] as const) {
      bytesRead = 0
      const { seen, send } = await bare(world, relay.port)
      for (let i = 0; i < frames; i++) send(new Uint8Array(bytes).fill(0x20))
      await world.until(() => seen.closed !== undefined)
      const code = bytes > 4096 ? 'frame-too-large' : 'frame-malformed'
      expect(seen.closed).toBe(`${streamCodes[code].close} ${code}`)
      expect(bytesRead).toBeLessThanOrEqual(2 * streamLimits.loginFrameBytesMax)
    }
  })

  it('costs the others nothing when it is wrong', async () => {
    const { world, relay, device } = await scene()
    await device.online({ register: true })
    for (let i = 0; i < 20; i++) {
      const { send } = await bare(world, relay.port)
      send(world.random.bytes(500))
    }
    const note = device.send(device.address, 'still here')
    await world.until(() => device.ended(note) !== undefined)
    expect(device.ended(note)?.kind).toBe('accepted')
  })
})

describe('a connection', () => {
  it('ends when nothing was heard from it, and lives as long as it says something', async () => {
    const { world, device } = await scene()
    await device.online({ register: true })
    await world.pass(60_000)
    device.raw(writeFrame({ t: 'ping' }))
    await world.pass(60_000)
    expect(device.fatal).toBeUndefined()
    await world.until(() => device.fatal !== undefined)
    expect(device.fatal).toBe('idle')
  })

  it('is refused beyond the limit', async () => {
    const { world, relay, device } = await scene({ limits: { connectionsMax: 1 } })
    await device.online({ register: true })
    const { seen } = await bare(world, relay.port)
    await world.until(() => seen.closed !== undefined)
    expect(seen).toMatchObject({
      frames: [{ t: 'error', code: 'overloaded', retryable: true, wait: 1000 }],
      closed: '4023 overloaded',
    })
    device.drop()
    await world.pass(100)
    expect((await bare(world, relay.port)).seen.closed).toBeUndefined()
  })

  it('is told when the relay goes, and what was accepted is there afterwards', async () => {
    const { world, relay, device } = await scene()
    await device.online({ register: true })
    const bob = world.device(world.account('bob@a.example'), { relay })
    await bob.online({ register: true })
    bob.drop()
    await world.pass(100)
    const ids = Array.from({ length: 5 }, (_, i) => device.send(bob.address, `message ${i}`))
    await world.pass(3)
    let isClosed = false
    relay.relay.close().then(() => {
      isClosed = true
    })
    await world.until(() => isClosed && device.closed !== undefined)
    expect(device.fatal).toBe('going-away')
    const accepted = ids.filter((id) => device.ended(id)?.kind === 'accepted')
    relay.kill()
    await relay.start()
    await bob.online()
    await world.until(() => bob.texts.length >= accepted.length)
  })
})
