import { copyFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { alice, createStage, freePort, inTime, isReady, ready, type Stage } from './programs.ts'

vi.setConfig({ testTimeout: 90_000 })

const bob = 'bob@a.localhost'
const certificates = fileURLToPath(new URL('../fixtures/tls/', import.meta.url))

let stage: Stage
beforeAll(() => {
  stage = createStage()
})
afterAll(() => stage.close())

it('people talk over TLS, and a new certificate ends no connection of theirs', async () => {
  const files = { tlsCert: stage.path('cert.pem'), tlsKey: stage.path('key.pem') }
  const put = (name: string): void => {
    copyFileSync(join(certificates, `${name}.cert.pem`), files.tlsCert)
    copyFileSync(join(certificates, `${name}.key.pem`), files.tlsKey)
  }
  put('first')
  const config = stage.path('relay.json')
  const data = stage.path('data')
  writeFileSync(config, JSON.stringify({ ...files, host: '127.0.0.1' }))
  const program = stage.relayProgram({ domain: 'a.localhost', data, args: ['--config', config] })
  const url = `wss://localhost:${await ready(program)}`
  const trusting = (name: string) => ({ env: { NODE_EXTRA_CA_CERTS: join(certificates, `${name}.cert.pem`) } })
  await stage.output('alice', ['init', alice, '--relay', url], trusting('first'))
  await stage.output('bob', ['init', bob, '--relay', url], trusting('first'))
  const listening = stage.parley('bob', ['listen', '--json', '--events', '--count', '2'], trusting('first'))
  await listening.next(isReady)
  await stage.output('alice', ['send', bob, 'under the first'], trusting('first'))
  put('second')
  const relayBin = fileURLToPath(new URL('../../apps/relay/bin/parley-relay.js', import.meta.url))
  const reloaded = stage.start([relayBin, 'reload', '--data', data, '--json'], { input: '' })
  expect(await inTime(reloaded.ended, () => 'not reloaded')).toMatchObject({ code: 0, out: '{"changed":[],"restart":[]}\n' })
  // Who trusts the first one only gets no further than the handshake now; who has a connection keeps it.
  expect((await stage.run('alice', ['send', bob, 'too late for this', '--timeout', '2s'], trusting('first'))).code).toBe(75)
  await stage.output('alice', ['send', bob, 'under the second'], trusting('second'))
  const { code } = await inTime(listening.ended, () => 'bob hears nothing')
  expect(code).toBe(0)
  const texts = listening.lines.flatMap(({ json }) => json.text ?? [])
  expect(texts).toEqual(['under the first', 'too late for this'])
  const connections = listening.lines.flatMap(({ json }) => (json.event === 'connection' ? [json.state] : []))
  expect(connections.filter((state) => state === 'ready')).toHaveLength(1)
  expect((await program.stop()).code).toBe(0)
})

it('two relays federate over TLS by keys that each publishes, also after one has changed its key', async () => {
  const trusting = { env: { NODE_EXTRA_CA_CERTS: join(certificates, 'first.cert.pem') } }
  const relayBin = fileURLToPath(new URL('../../apps/relay/bin/parley-relay.js', import.meta.url))
  const ports = { c: await freePort(), d: await freePort() }
  const start = async (name: 'c' | 'd', other: 'c' | 'd') => {
    const to = `${other}.localhost=wss://localhost:${ports[other]}`
    const tls = ['--tls-cert', join(certificates, 'first.cert.pem'), '--tls-key', join(certificates, 'first.key.pem')]
    const at = ['--domain', `${name}.localhost`, '--port', String(ports[name]), '--data', stage.path(name)]
    const program = stage.start([relayBin, ...at, ...tls, '--route', to, '--log-level', 'silent'], trusting)
    await ready(program)
    return program
  }
  const relays = [await start('c', 'd'), await start('d', 'c')]
  for (const [name, domain] of [
    ['carol', 'c'],
    ['dave', 'd'],
  ] as const)
    await stage.output(name, ['init', `${name}@${domain}.localhost`, '--relay', `wss://localhost:${ports[domain]}`], trusting)
  const talk = async (text: string): Promise<void> => {
    for (const [from, to, domain] of [
      ['carol', 'dave', 'd'],
      ['dave', 'carol', 'c'],
    ] as const) {
      await stage.output(from, ['send', `${to}@${domain}.localhost`, `${text} ${from}`], trusting)
      expect(await stage.output(to, ['listen', '--count', '1'], trusting)).toContain(`${text} ${from}`)
    }
  }
  await talk('before')
  const changed = stage.start([relayBin, 'key', 'change', '--data', stage.path('c')], { input: '' })
  expect((await inTime(changed.ended, () => 'no new key')).code).toBe(0)
  // What stood is dialled anew, with the new key on one side.
  expect((await relays[1]?.stop())?.code).toBe(0)
  relays[1] = await start('d', 'c')
  await talk('after')
  for (const relay of relays) expect((await relay.stop()).code).toBe(0)
})

it('a domain that leads to this machine is neither asked nor dialled where no route leads there', async () => {
  const trusting = { env: { NODE_EXTRA_CA_CERTS: join(certificates, 'first.cert.pem') } }
  let connections = 0
  const inner = createServer(() => connections++)
  await new Promise<void>((done) => inner.listen(0, '127.0.0.1', done))
  const { port } = inner.address() as AddressInfo
  const relayBin = fileURLToPath(new URL('../../apps/relay/bin/parley-relay.js', import.meta.url))
  const data = stage.path('e')
  const at = ['--domain', 'e.localhost', '--port', '0', '--data', data, '--discovery', 'on', '--log-level', 'silent']
  const program = stage.start([relayBin, ...at], trusting)
  const url = `ws://127.0.0.1:${await ready(program)}`
  await stage.output('erin', ['init', 'erin@e.localhost', '--relay', url])
  const looked = async (): Promise<string> => {
    const listed = stage.start([relayBin, 'queue', 'list', '--data', data, '--json'], { input: '' })
    return (await inTime(listed.ended, () => 'no queues')).out
  }
  for (const host of ['localhost', '127.0.0.1'])
    await stage.run('erin', ['send', `somebody@${host}:${port}`, 'is anybody there?', '--timeout', '3s'])
  expect(await looked()).toContain('keys-unavailable')
  expect(connections).toBe(0)
  expect((await program.stop()).code).toBe(0)
  inner.close()
})
