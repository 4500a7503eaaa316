import { describe, expect, it } from 'vitest'
import { type ConfigResult, isLoopback, makeConfig as join, type RawConfig, reachedAt } from '../src/config.ts'
import { fromEnvironment } from '../src/sources.ts'

const least = { domain: 'a.localhost', data: '/data' }

const makeConfig = (raws: readonly RawConfig[]): ConfigResult => join(raws.map((raw, i) => ({ from: `source ${i}`, raw })))

function configOf(result: ConfigResult) {
  if (!result.ok) throw new Error(result.problems.join('\n'))
  return result.config
}

const problems = (result: ConfigResult): readonly string[] => (result.ok ? [] : result.problems)

describe('the configuration', () => {
  it('needs a domain and a folder, the rest has defaults', () => {
    expect(configOf(makeConfig([least]))).toEqual({
      domain: 'a.localhost',
      data: '/data',
      host: '127.0.0.1',
      port: 0,
      routes: [],
      federation: { discovery: false, allow: [], deny: [] },
      publicUrl: undefined,
      publicCards: false,
      registration: 'open',
      tls: undefined,
      proxies: undefined,
      adminListen: undefined,
      logLevel: 'info',
      logAddresses: false,
      diskFreeBytesMin: 64 * 1024 * 1024,
      traceWire: undefined,
      traceOctets: 48,
      limits: {},
    })
    expect(problems(makeConfig([{}]))).toEqual([
      'domain: is needed: the part of addresses behind the @',
      'data: is needed: the folder that the relay keeps everything in',
    ])
  })

  it('takes flags before environment before file', () => {
    const result = makeConfig([
      { port: '1' },
      { port: '2', host: '::1' },
      { ...least, port: 3, host: '127.0.0.2', logLevel: 'warn' },
    ])
    expect(configOf(result)).toMatchObject({ port: 1, host: '::1', logLevel: 'warn' })
  })

  it('opens registration by itself only where nobody else can reach it', () => {
    const outside = { ...least, host: '0.0.0.0', unsafePlainListen: true }
    expect(configOf(makeConfig([outside])).registration).toBe('closed')
    expect(configOf(makeConfig([{ ...outside, registration: 'open' }])).registration).toBe('open')
    expect(['localhost', '127.0.0.1', '127.1.2.3', '::1'].every(isLoopback)).toBe(true)
    expect(['0.0.0.0', '::', 'relay.example', '10.0.0.1'].some(isLoopback)).toBe(false)
  })

  it('looks for other domains by itself only where others can reach it', () => {
    const proxied = { ...least, trustedProxies: ['127.0.0.1'] }
    expect(configOf(makeConfig([proxied])).federation.discovery).toBe(true)
    expect(configOf(makeConfig([{ ...proxied, discovery: 'off' }])).federation.discovery).toBe(false)
    const lists = { allowDomains: ['b.example', 'c.example'], denyDomains: ['d.example'] }
    expect(configOf(makeConfig([{ ...least, ...lists }])).federation).toEqual({
      discovery: false,
      allow: lists.allowDomains,
      deny: lists.denyDomains,
    })
  })

  it.each([
    [{}, 'ws://127.0.0.1:5280'],
    [{ host: '::1', tlsCert: 'c', tlsKey: 'k' }, 'wss://[::1]:5280'],
    [{ host: '0.0.0.0', tlsCert: 'c', tlsKey: 'k' }, undefined],
    [{ publicUrl: 'wss://relay.example' }, 'wss://relay.example'],
    [{ publicUrl: 'wss://a.localhost' }, undefined],
  ])('with %j sends people who were invited to %s', (more, url) => {
    expect(reachedAt(configOf(makeConfig([{ ...least, ...more }])), 5280)).toBe(url)
  })

  it('does not let other machines in without TLS, unless a proxy has it or the operator insists', () => {
    const outside = { ...least, host: '0.0.0.0' }
    expect(problems(makeConfig([outside]))).toEqual([
      expect.stringMatching(/^host: other machines would reach this relay without TLS/),
    ])
    const tls = { tlsCert: 'cert.pem', tlsKey: 'key.pem' }
    expect(configOf(makeConfig([{ ...outside, ...tls }])).tls).toEqual({ cert: 'cert.pem', key: 'key.pem' })
    const proxied = { trustedProxies: ['10.0.0.0/8', 'fd00::1'], proxyHeader: 'forwarded' }
    expect(configOf(makeConfig([{ ...outside, ...proxied }])).proxies).toEqual({
      networks: proxied.trustedProxies,
      header: 'forwarded',
    })
    expect(makeConfig([{ ...outside, unsafePlainListen: 'true' }]).ok).toBe(true)
    expect(problems(makeConfig([{ ...least, tlsCert: 'cert.pem' }]))).toEqual([
      'tlsKey: is needed: certificate and key go together',
    ])
  })

  it.each([
    ['9464', { host: '127.0.0.1', port: 9464 }],
    ['10.0.0.1:0', { host: '10.0.0.1', port: 0 }],
    ['[::1]:9464', { host: '::1', port: 9464 }],
  ])('serves the metrics on %s', (adminListen, at) => {
    expect(configOf(makeConfig([{ ...least, adminListen }])).adminListen).toEqual(at)
  })

  it('says of every setting where it comes from, and of the limits only those that were given', () => {
    const result = makeConfig([{ port: '1' }, { ...least, limits: { idleMs: 5, mailbox: { countMax: 7 } } }])
    const origins = result.ok ? result.origins : []
    expect(origins).toContainEqual({ name: 'port', value: 1, from: 'source 0' })
    expect(origins).toContainEqual({ name: 'domain', value: 'a.localhost', from: 'source 1' })
    expect(origins).toContainEqual({ name: 'registration', value: 'open', from: 'default' })
    expect(origins.filter(({ name }) => name.startsWith('limits'))).toEqual([
      { name: 'limits.mailbox.countMax', value: 7, from: 'source 1' },
      { name: 'limits.idleMs', value: 5, from: 'source 1' },
    ])
  })

  it('tells all that is wrong at once', () => {
    expect(
      problems(makeConfig([{ port: 'x', routes: ['b'], trustedProxies: ['10.0.0.0/99'], prot: 1, tlsKey: 'k' }])),
    ).toHaveLength(7)
  })

  it('reads routes and names the one that is wrong', () => {
    expect(configOf(makeConfig([{ ...least, routes: ['b.localhost=ws://127.0.0.1:5'] }])).routes).toEqual([
      { domain: 'b.localhost', url: 'ws://127.0.0.1:5' },
    ])
    expect(problems(makeConfig([{ ...least, routes: ['b.localhost'] }]))).toEqual([
      expect.stringMatching(/^routes: "b.localhost": a route has the form/),
    ])
  })

  it('takes every limit by its name and keeps the others', () => {
    const { limits } = configOf(makeConfig([{ ...least, limits: { idleMs: 5, mailbox: { countMax: 7 } } }]))
    expect(limits).toMatchObject({ idleMs: 5, mailbox: { countMax: 7, bytesMax: 64 * 1024 * 1024 } })
    expect(limits.stream).toBeUndefined()
  })

  it('takes a limit of 0 where that means that there is none of it', () => {
    const { limits } = configOf(makeConfig([{ ...least, limits: { invitesMax: 0, mailbox: { skipHoldMs: 0 } } }]))
    expect(limits).toMatchObject({ invitesMax: 0, mailbox: { skipHoldMs: 0 } })
  })

  it.each([
    [{ prot: 1 }, 'prot: not known; did you mean port?'],
    [{ limits: { idelMs: 1 } }, 'limits.idelMs: not known; did you mean idleMs?'],
    [{ limits: { mailbox: { countmax: 1 } } }, 'limits.mailbox.countmax: not known; did you mean countMax?'],
    [{ somethingElse: 1 }, 'somethingElse: not known'],
  ])('refuses a name that it does not know: %j', (more, problem) => {
    expect(problems(makeConfig([{ ...least, ...more }]))).toEqual([problem])
  })

  it.each([
    [{ port: 'x' }],
    [{ port: 70_000 }],
    [{ domain: 'not a domain' }],
    [{ registration: 'sometimes' }],
    [{ limits: { idleMs: -1 } }],
    [{ limits: { idleMs: 0 } }],
    [{ limits: { registrationsPerPeerPerHour: 0 } }],
    [{ limits: { mailbox: { positionBlock: 0 } } }],
    [{ logLevel: 'loud' }],
    [{ logAddresses: 'yes' }],
    [{ adminListen: 'here' }],
    [{ adminListen: '127.0.0.1:99999' }],
    [{ trustedProxies: ['proxy.example'] }],
    [{ diskFreeBytesMin: '1 GiB' }],
    [{ publicUrl: 'https://a.example' }],
    [{ denyDomains: ['not a domain'] }],
  ])('refuses a value that cannot be: %j', (more) => {
    expect(problems(makeConfig([more, least]))).toHaveLength(1)
  })

  it('reads the environment, and refuses a misspelt variable', () => {
    const read = fromEnvironment({
      PATH: '/bin',
      PARLEY_RELAY_DOMAIN: 'a.localhost',
      PARLEY_RELAY_ROUTES: 'b=ws://x:1 c=ws://y:2',
      PARLEY_RELAY_CONFIG: 'f',
    })
    expect(read).toEqual({ raw: { domain: 'a.localhost', routes: ['b=ws://x:1', 'c=ws://y:2'] }, problems: [] })
    expect(fromEnvironment({ PARLEY_RELAY_DOMIAN: 'x' }).problems).toEqual([
      'PARLEY_RELAY_DOMIAN: not known; did you mean PARLEY_RELAY_DOMAIN?',
    ])
  })
})
