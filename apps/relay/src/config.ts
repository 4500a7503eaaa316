/**
 * The configuration of `parley-relay`: flags before environment before file before defaults. A name that is not known is refused,
 * with the one that was probably meant; nothing is silently ignored.
 * @module
 */
import { type Domain, toDomain } from '@parley/core'
import { parseRoute, type RelayLimits, type Route, relayLimits } from '@parley/relay'
import { z } from 'zod'

/** What the program runs with. */
export type Config = {
  readonly domain: Domain
  readonly host: string
  readonly port: number
  readonly data: string
  readonly routes: readonly Route[]
  readonly registration: 'open' | 'closed'
  readonly logLevel: LogLevel
  readonly traceWire: string | undefined
  readonly traceOctets: number
  readonly limits: Partial<RelayLimits>
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** As flags or environment give it: texts, before they are checked. */
export type RawConfig = { readonly [name: string]: unknown }

export type ConfigResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly problems: readonly string[] }

const count = z.number().int().nonnegative()

/** Every limit of the relay by its own name, lower or higher than its default; the nested ones too. */
const limitNames = (defaults: object): z.ZodType =>
  z.strictObject(
    Object.fromEntries(
      Object.entries(defaults).map(([name, value]) => [
        name,
        (typeof value === 'number' ? count : limitNames(value as object)).optional(),
      ]),
    ),
  )

const schema = z.strictObject({
  domain: z
    .string({ error: 'is needed: the part of addresses behind the @' })
    .refine((text) => toDomain(text) !== undefined, 'is not a domain'),
  host: z.string().min(1).default('127.0.0.1'),
  port: count.max(65_535).default(0),
  data: z.string({ error: 'is needed: the folder that the relay keeps everything in' }).min(1),
  routes: z.array(z.string()).default([]),
  registration: z.enum(['open', 'closed']).optional(),
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  traceWire: z.string().min(1).optional(),
  traceOctets: count.default(48),
  limits: limitNames(relayLimits).optional(),
})

const environment: Readonly<Record<string, keyof z.input<typeof schema>>> = {
  PARLEY_RELAY_DOMAIN: 'domain',
  PARLEY_RELAY_HOST: 'host',
  PARLEY_RELAY_PORT: 'port',
  PARLEY_RELAY_DATA: 'data',
  PARLEY_RELAY_ROUTES: 'routes',
  PARLEY_RELAY_REGISTRATION: 'registration',
  PARLEY_RELAY_LOG_LEVEL: 'logLevel',
  PARLEY_RELAY_TRACE_WIRE: 'traceWire',
  PARLEY_RELAY_TRACE_OCTETS: 'traceOctets',
}
/** Names the configuration file. */
export const configVariable = 'PARLEY_RELAY_CONFIG'

/** The members that the environment gives. An unknown PARLEY_RELAY_ variable is a problem, because it is a misspelt one. */
export function fromEnvironment(env: Readonly<Record<string, string | undefined>>): {
  readonly raw: RawConfig
  readonly problems: readonly string[]
} {
  const raw: Record<string, unknown> = {}
  const problems: string[] = []
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith('PARLEY_RELAY_') || variable === configVariable || value === undefined || value === '') continue
    const name = environment[variable]
    if (name === undefined) problems.push(`${variable}: not known${hint(variable, Object.keys(environment))}`)
    else raw[name] = name === 'routes' ? value.split(/\s+/).filter((text) => text !== '') : value
  }
  return { raw, problems }
}

/** Checks and joins what the sources give; the first that has a member wins. */
export function makeConfig(sources: readonly RawConfig[]): ConfigResult {
  const joined: Record<string, unknown> = {}
  for (const source of [...sources].reverse()) {
    for (const [name, value] of Object.entries(source)) if (value !== undefined) joined[name] = value
  }
  for (const name of ['port', 'traceOctets']) {
    const value = joined[name]
    if (typeof value === 'string' && /^\d+$/.test(value)) joined[name] = Number(value)
  }
  const parsed = schema.safeParse(joined)
  if (!parsed.success) return { ok: false, problems: parsed.error.issues.flatMap(problemsOf) }
  const { domain, routes, registration, limits, traceWire, ...rest } = parsed.data
  const read = routes.map(readRoute)
  const wrong = read.flatMap((route) => (typeof route === 'string' ? [route] : []))
  if (wrong.length > 0) return { ok: false, problems: wrong }
  return {
    ok: true,
    config: {
      ...rest,
      // The schema has checked it.
      domain: toDomain(domain) as Domain,
      routes: read.flatMap((route) => (typeof route === 'string' ? [] : [route])),
      // On a machine's own network anybody may register; a relay that others reach takes nobody unless told to.
      registration: registration ?? (isLoopback(rest.host) ? 'open' : 'closed'),
      traceWire,
      limits: nested(limits as Record<string, unknown> | undefined),
    },
  }
}

/** Hosts that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host)
}

function readRoute(text: string): Route | string {
  try {
    return parseRoute(text)
  } catch (error) {
    return `routes: ${JSON.stringify(text)}: ${(error as Error).message}`
  }
}

function nested(limits: Record<string, unknown> | undefined): Partial<RelayLimits> {
  if (limits === undefined) return {}
  const { stream, mailbox, ...flat } = limits
  return {
    ...flat,
    ...(stream === undefined ? {} : { stream: { ...relayLimits.stream, ...(stream as object) } }),
    ...(mailbox === undefined ? {} : { mailbox: { ...relayLimits.mailbox, ...(mailbox as object) } }),
  }
}

function problemsOf(issue: z.core.$ZodIssue): readonly string[] {
  const path = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const known = knownNames(issue.path)
    return issue.keys.map((key) => `${path === '' ? key : `${path}.${key}`}: not known${hint(key, known)}`)
  }
  return [`${path === '' ? 'configuration' : path}: ${issue.message}`]
}

function knownNames(path: readonly PropertyKey[]): readonly string[] {
  if (path.length === 0) return Object.keys(schema.shape)
  let at: unknown = { limits: relayLimits }
  for (const name of path) at = (at as Record<PropertyKey, unknown>)[name]
  return typeof at === 'object' && at !== null ? Object.keys(at) : []
}

function hint(name: string, known: readonly string[]): string {
  const [nearest] = known
    .map((each) => ({ each, distance: distance(name.toLowerCase(), each.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  return nearest !== undefined && nearest.distance <= Math.max(2, name.length / 3) ? `; did you mean ${nearest.each}?` : ''
}

/** Levenshtein's distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + cost))
    }
    row = next
  }
  return row[b.length] ?? 0
}
