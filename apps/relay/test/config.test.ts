import { describe, expect, it } from 'vitest'
import { type ConfigResult, fromEnvironment, isLoopback, makeConfig } from '../src/config.ts'

const least = { domain: 'a.localhost', data: '/data' }

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
      registration: 'open',
      logLevel: 'info',
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
    const result = makeConfig([{ port: '1' }, { port: '2', host: '::1' }, { ...least, port: 3, host: 'x', logLevel: 'warn' }])
    expect(configOf(result)).toMatchObject({ port: 1, host: '::1', logLevel: 'warn' })
  })

  it('opens registration by itself only where nobody else can reach it', () => {
    expect(configOf(makeConfig([{ ...least, host: '0.0.0.0' }])).registration).toBe('closed')
    expect(configOf(makeConfig([{ ...least, host: '0.0.0.0', registration: 'open' }])).registration).toBe('open')
    expect(['localhost', '127.0.0.1', '127.1.2.3', '::1'].every(isLoopback)).toBe(true)
    expect(['0.0.0.0', '::', 'relay.example', '10.0.0.1'].some(isLoopback)).toBe(false)
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
    [{ logLevel: 'loud' }],
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
