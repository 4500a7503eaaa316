/**
 * The program in this process with signals of its own, and devices on real sockets that talk to it.
 * @module
 */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseAddress, utf8 } from '@parley/core'
import { signCard, signStatement } from '@parley/identity'
import { generateKey, importKey, type Jwk, thumbprint } from '@parley/jose'
import { systemClock, systemRandom } from '@parley/platform/system'
import { dialWebSocket } from '@parley/platform/websocket'
import { type C2sEvent, type C2sOutput, c2sProtocol, createC2sClient } from '@parley/stream'
import { runProgram } from '../src/program.ts'

const running: { stop(): Promise<unknown> }[] = []
/** Ends every program that has become ready. */
export async function stopAll(): Promise<void> {
  for (const each of running.splice(0)) await each.stop()
}

/** An empty folder, with a space in its name. */
export function folder(): string {
  return mkdtempSync(join(tmpdir(), 'parley relay '))
}

/** Runs the program in this process, with signals of its own. */
export function run(argv: readonly string[], env: Record<string, string> = {}) {
  const said = { out: '', err: '' }
  const handlers = new Map<string, Set<(name: string) => void>>()
  let onOut = (): void => {}
  const exit = runProgram({
    argv,
    env,
    out(text) {
      said.out += text
      onOut()
    },
    err(text) {
      said.err += text
    },
    onSignal(names, fn) {
      for (const name of names) handlers.set(name, (handlers.get(name) ?? new Set()).add(fn))
      return () => {
        for (const name of names) handlers.get(name)?.delete(fn)
      }
    },
  })
  const signal = (name: string): void => {
    for (const fn of handlers.get(name) ?? []) fn(name)
  }
  const program = {
    said,
    exit,
    signal,
    stop() {
      signal('SIGTERM')
      return exit
    },
    /** The port of the ready line; fails when the program ends before it. */
    async ready(): Promise<number> {
      const line = /parley-relay ready domain=\S+ port=(\d+) key=\S{43}\n/
      const seen = new Promise<void>((done) => {
        onOut = () => line.test(said.out) && done()
        onOut()
      })
      const code = await Promise.race([seen, exit])
      if (code !== undefined) throw new Error(`ended with ${code}: ${said.err}`)
      running.push(program)
      return Number(line.exec(said.out)?.[1])
    },
  }
  return program
}

/** A device that registers itself and echoes what is needed, on real sockets. */
export async function device(address: string, port: number) {
  const make = (): Jwk => generateKey('Ed25519', { random: systemRandom })
  const accountKey = importKey(make())
  const signer = importKey(make())
  const id = thumbprint(signer.publicJwk as Jwk) as never
  const now = systemClock.now()
  const parsed = parseAddress(address)
  const card = signCard(
    {
      address: parsed,
      version: 1,
      prev: null,
      accountKey: accountKey.publicJwk as Jwk,
      next: thumbprint(make()),
      devices: [{ id, signingKey: signer.publicJwk as Jwk, added: now / 1000 }],
    },
    { key: accountKey, now },
  )
  const agreementKey = generateKey('X25519', { random: systemRandom })
  const validity = { issued: now / 1000, expiry: now / 1000 + 3600 }
  const statement = signStatement(
    { device: id, account: card.account, agreementKey, n: 1, head: card.hash, ...validity },
    { key: signer },
  )
  const client = createC2sClient({
    address: parsed,
    device: id,
    signer,
    inc: 'AAAAAAAAAAA',
    position: undefined,
    relayKey: undefined,
    random: systemRandom,
    register: { card: card.jws, statement },
  })
  const events: C2sEvent[] = []
  const waiting: { readonly find: (event: C2sEvent) => boolean; done(event: C2sEvent): void }[] = []
  const connection = await dialWebSocket(`ws://127.0.0.1:${port}`, {
    subprotocols: [c2sProtocol],
    frameBytesMax: 2 ** 20,
    timeoutMs: 5000,
  })
  const apply = (out: C2sOutput): void => {
    for (const frame of out.frames) connection.send(frame)
    for (const event of out.events) {
      events.push(event)
      for (const each of waiting) if (each.find(event)) each.done(event)
    }
  }
  connection.start({ onFrame: (frame) => apply(client.receive(frame, systemClock.now())), onClose() {} })
  const event = (find: (each: C2sEvent) => boolean): Promise<C2sEvent> =>
    new Promise((done) => {
      const before = events.find(find)
      if (before === undefined) waiting.push({ find, done })
      else done(before)
    })
  await event(({ kind }) => kind === 'ready')
  return {
    event,
    send(to: string, text: string) {
      const sent = systemClock.now()
      const entries = [{ device: '*', octets: utf8('entry') }] as const
      const stanzaId = `urn:uuid:00000000-0000-4000-8000-${String(events.length).padStart(12, '0')}` as never
      apply(
        client.send({
          id: stanzaId,
          to: [parseAddress(to)],
          class: 'durable',
          sent,
          expiry: sent + 60_000,
          entries,
          body: utf8(text),
        }),
      )
    },
    close: () => connection.close(1000, ''),
  }
}
