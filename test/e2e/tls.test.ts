import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { alice, createStage, inTime, isReady, ready, type Stage } from './programs.ts'

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
