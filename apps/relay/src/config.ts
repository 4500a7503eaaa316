/**
 * The configuration of `parley-relay`: flags before environment before file before defaults. A name that is not known is refused,
 * with the one that was probably meant; nothing is silently ignored, and all problems are told at once.
 * @module
 */
import { BlockList, isIP } from 'node:net'
import { type Domain, toDomain } from '@parley/core'
import type { TrustedProxies } from '@parley/platform/server'
import {
  type FederationPolicy,
  parseRoute,
  type RegistrationMode,
  type RelayLimits,
  type Route,
  relayLimits,
} from '@parley/relay'
import { z } from 'zod'
import { hint } from './nearest.ts'
import { settings } from './settings.ts'

/** What the program runs with. */
export type Config = {
  readonly domain: Domain
  readonly host: string
  readonly port: number
  readonly data: string
  readonly routes: readonly Route[]
  readonly federation: Omit<FederationPolicy, 'routes'>
  readonly publicUrl: string | undefined
  readonly publicCards: boolean
  readonly registration: RegistrationMode
  /** Files with the certificate chain and its key; without them the port speaks no TLS. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined
  readonly proxies: TrustedProxies | undefined
  readonly adminListen: { readonly host: string; readonly port: number } | undefined
  readonly logLevel: LogLevel
  readonly logAddresses: boolean
  readonly diskFreeBytesMin: number
  readonly traceWire: string | undefined
  readonly traceOctets: number
  readonly limits: Partial<RelayLimits>
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** As flags, environment or file give it, before it is checked. */
export type RawConfig = { readonly [name: string]: unknown }

/** One place that settings come from. */
export type ConfigSource = { readonly from: string; readonly raw: RawConfig }

/** A setting with its value and where that came from. */
export type Origin = { readonly name: string; readonly value: unknown; readonly from: string }

export type ConfigResult =
  | { readonly ok: true; readonly config: Config; readonly origins: readonly Origin[] }
  | { readonly ok: false; readonly problems: readonly string[] }

const count = z.number().int().nonnegative()

// A rate of nothing would never be paid for, an interval of nothing never end: only where 0 means "none" may it stand.
const zeroLimits: readonly string[] = [
  'accountsMax',
  'invitesMax',
  'blocksPerAccountMax',
  'addressHeldMs',
  'refusalDelayMs',
  'skipHoldMs',
  'heldBytesMax',
  'recentBytesMax',
]

/** Every limit of the relay by its own name, lower or higher than its default; the nested ones too. */
const limitNames = (defaults: object): z.ZodType =>
  z.strictObject(Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, limitValue(name, value).optional()])))

function limitValue(name: string, value: unknown): z.ZodType {
  if (typeof value !== 'number') return limitNames(value as object)
  return zeroLimits.includes(name) ? count : z.number().int().positive({ error: 'is at least 1' })
}

const domainText = z
  .string({ error: 'is needed: the part of addresses behind the @' })
  .refine((text) => toDomain(text) !== undefined, 'is not a domain')

const schema = z.strictObject({
  domain: domainText,
  host: z.string().min(1).default('127.0.0.1'),
  port: count.max(65_535).default(0),
  data: z.string({ error: 'is needed: the folder that the relay keeps everything in' }).min(1),
  routes: z.array(z.string().superRefine(told(parseRoute))).default([]),
  discovery: z.enum(['on', 'off']).optional(),
  allowDomains: z.array(domainText).default([]),
  denyDomains: z.array(domainText).default([]),
  publicUrl: z
    .string()
    .regex(/^wss?:\/\/[^\s/]+$/, 'has the form wss://relay.example or wss://relay.example:5280')
    .optional(),
  publicCards: z.boolean().default(false),
  registration: z.enum(['open', 'invite', 'closed']).optional(),
  tlsCert: z.string().min(1).optional(),
  tlsKey: z.string().min(1).optional(),
  trustedProxies: z.array(z.string().superRefine(told(checkNetwork))).default([]),
  proxyHeader: z.enum(['x-forwarded-for', 'forwarded']).default('x-forwarded-for'),
  unsafePlainListen: z.boolean().default(false),
  adminListen: z.string().superRefine(told(parseListen)).optional(),
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  logAddresses: z.boolean().default(false),
  diskFreeBytesMin: count.default(64 * 1024 * 1024),
  traceWire: z.string().min(1).optional(),
  traceOctets: count.default(48),
  limits: limitNames(relayLimits).optional(),
})

/** Checks and joins what the sources give; the first that has a member wins. */
export function makeConfig(sources: readonly ConfigSource[]): ConfigResult {
  const joined: Record<string, unknown> = {}
  const from: Record<string, string> = {}
  for (const source of [...sources].reverse()) {
    for (const [name, value] of Object.entries(source.raw)) {
      if (value === undefined) continue
      joined[name] = read(name, value)
      from[name] = source.from
    }
  }
  const parsed = schema.safeParse(joined)
  const problems = [...(parsed.success ? [] : parsed.error.issues.flatMap(problemsOf)), ...conflicts(joined)]
  if (!parsed.success || problems.length > 0) return { ok: false, problems }
  const { domain, routes, registration, discovery, tlsCert, tlsKey, trustedProxies, proxyHeader, adminListen, ...rest } =
    parsed.data
  const { allowDomains, denyDomains, unsafePlainListen: _checked, traceWire, publicUrl, limits, ...plain } = rest
  const isOwn = isLoopback(rest.host) && trustedProxies.length === 0
  // On a machine's own network anybody may register and nobody is looked for; a relay that others reach takes nobody unless told to.
  const chosen = {
    registration: registration ?? (isOwn ? 'open' : 'closed'),
    discovery: discovery ?? (isOwn ? 'off' : 'on'),
  } as const
  const config: Config = {
    ...plain,
    // The schema has checked them.
    domain: toDomain(domain) as Domain,
    routes: routes.map(parseRoute),
    federation: {
      discovery: chosen.discovery === 'on',
      allow: allowDomains.map((text) => toDomain(text) as Domain),
      deny: denyDomains.map((text) => toDomain(text) as Domain),
    },
    publicUrl,
    registration: chosen.registration,
    tls: tlsCert === undefined || tlsKey === undefined ? undefined : { cert: tlsCert, key: tlsKey },
    proxies: trustedProxies.length === 0 ? undefined : { networks: trustedProxies, header: proxyHeader },
    adminListen: adminListen === undefined ? undefined : parseListen(adminListen),
    traceWire,
    limits: nested(limits as Record<string, unknown> | undefined),
  }
  return { ok: true, config, origins: originsOf({ ...parsed.data, ...chosen }, from) }
}

/** Hosts that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host)
}

/** Where invitations send people; `undefined` when that is what everybody tries first. */
export function reachedAt({ publicUrl, domain, host, tls }: Config, port: number): string | undefined {
  if (publicUrl !== undefined) return publicUrl === `wss://${domain}` ? undefined : publicUrl
  if (!isLoopback(host)) return undefined
  return `${tls === undefined ? 'ws' : 'wss'}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Reads `host:port`, `[::1]:port` or a port alone. */
function parseListen(text: string): { host: string; port: number } {
  const [, bracketed, bare, digits] = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(text) ?? []
  if (digits === undefined || Number(digits) > 65_535) throw new RangeError('has the form 127.0.0.1:9464')
  return { host: bracketed ?? bare ?? '127.0.0.1', port: Number(digits) }
}

function checkNetwork(text: string): void {
  const [address = '', bits = '0', ...more] = text.split('/')
  const family = isIP(address)
  if (family === 0 || more.length > 0 || !/^\d+$/.test(bits))
    throw new RangeError('is not an address or a network such as 10.0.0.0/8')
  new BlockList().addSubnet(address, Number(bits), family === 6 ? 'ipv6' : 'ipv4')
}

function told(check: (text: string) => unknown) {
  return (text: string, context: z.RefinementCtx): void => {
    try {
      check(text)
    } catch (error) {
      context.addIssue({ code: 'custom', message: `${JSON.stringify(text)}: ${(error as Error).message}` })
    }
  }
}

// Flags and variables are texts.
function read(name: string, value: unknown): unknown {
  const kind = settings.find((setting) => setting.name === name)?.kind
  if (kind === 'number' && typeof value === 'string' && /^\d+$/.test(value)) return Number(value)
  if (kind === 'switch' && typeof value === 'string' && /^(?:true|false)$/.test(value)) return value === 'true'
  return value
}

/** What no single member shows. */
function conflicts(joined: Readonly<Record<string, unknown>>): readonly string[] {
  const { host, tlsCert, tlsKey, trustedProxies, unsafePlainListen } = joined
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    return [`${tlsCert === undefined ? 'tlsCert' : 'tlsKey'}: is needed: certificate and key go together`]
  const isProxied = Array.isArray(trustedProxies) && trustedProxies.length > 0
  if (typeof host !== 'string' || isLoopback(host) || tlsCert !== undefined || isProxied || unsafePlainListen === true) return []
  return [
    'host: other machines would reach this relay without TLS; set tlsCert and tlsKey, or trustedProxies when a proxy speaks TLS before it (unsafePlainListen: true lets them, on a network that is all yours)',
  ]
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

function originsOf(values: Readonly<Record<string, unknown>>, from: Readonly<Record<string, string>>): readonly Origin[] {
  return settings.flatMap(({ name, kind }) => {
    const origin = from[name] ?? 'default'
    if (kind !== 'table') return [{ name, value: values[name], from: origin }]
    return flatten(name, values[name]).map((each) => ({ ...each, from: origin }))
  })
}

function flatten(name: string, value: unknown): { readonly name: string; readonly value: unknown }[] {
  if (typeof value !== 'object' || value === null) return value === undefined ? [] : [{ name, value }]
  return Object.entries(value).flatMap(([member, inner]) => flatten(`${name}.${member}`, inner))
}

function problemsOf(issue: z.core.$ZodIssue): readonly string[] {
  const path = issue.path.filter((part) => typeof part === 'string').join('.')
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
