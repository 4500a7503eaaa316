/**
 * A relay as a process: the parts put together, the signals, the control socket, health and metrics; drained at the end.
 * @module
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readdir, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Json, JsonObject, Store, Telemetry } from '@parley/core'
import { isMessagingError } from '@parley/core'
import { ensurePrivateFolder, readPrivateFile, refuseHeadlessStore, writePrivateFile } from '@parley/platform/files'
import { requestHttp } from '@parley/platform/http'
import { openLevelStore } from '@parley/platform/level'
import { createWebSocketServer, type WebSocketServer } from '@parley/platform/server'
import { systemClock, systemRandom } from '@parley/platform/system'
import { dialWebSocket } from '@parley/platform/websocket'
import { createRelay, networkOf, type Relay, relayLimits } from '@parley/relay'
import { type Config, type ConfigResult, isLoopback, reachedAt } from './config.ts'
import { controlPath } from './control/lines.ts'
import { listenControl } from './control/server.ts'
import { listenAdmin, withHealth } from './health.ts'
import { createLog, type RelayLog } from './log.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { operations } from './operations.ts'
import { ProgramError } from './program-error.ts'
import { type Changes, changesBetween } from './reload.ts'
import { createStatus, type StatusReader } from './status.ts'
import { restoredMark } from './store/backup.ts'
import { type GuardedStore, openGuardedStore } from './store/guarded-store.ts'
import { refuseForeignFolder } from './store/owner.ts'
import { type ReadTls, readTls } from './tls.ts'
import { openTrace, type Trace } from './trace.ts'

/** The process, as far as a relay needs it. */
export type ServeIo = {
  out(text: string): void
  err(text: string): void
  /** Calls the function at each of these signals; the answer stops that. */
  onSignal(names: readonly string[], fn: (name: string) => void): () => void
}

// Mailboxes write much and delete it soon: what is gone before it is sorted into a file costs nothing more.
const writeBufferBytes = 16 * 1024 * 1024

export type ServeOptions = {
  readonly config: Extract<ConfigResult, { ok: true }>
  readonly configFile: string | undefined
  reread(): ConfigResult
}

/** Runs until a signal ends it. Rejects when it cannot start. */
export async function serve(io: ServeIo, options: ServeOptions): Promise<void> {
  // In the reverse order of what was opened.
  const closers: (() => unknown)[] = []
  try {
    const running = await start(io, options, closers)
    const { relay, logging, metrics } = running
    io.out(`parley-relay ready domain=${relay.domain} port=${relay.port} key=${relay.key}\n`)
    const stopReloading = io.onSignal(['SIGHUP'], () => void running.reload().catch(() => {}))
    await new Promise<void>((done) => io.onSignal(['SIGTERM', 'SIGINT'], () => done()))
    stopReloading()
    running.status.drain()
    logging.log.info('draining')
    await relay.close()
    logging.log.info({ totals: metrics.totals() }, 'drained')
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

type Running = {
  readonly relay: Relay
  readonly logging: RelayLog
  readonly metrics: Metrics
  readonly status: StatusReader
  reload(): Promise<Changes>
}

async function start(io: ServeIo, options: ServeOptions, closers: (() => unknown)[]): Promise<Running> {
  let current = options.config
  const { config } = current
  const tls = config.tls === undefined ? undefined : readTls(config.tls)
  await refuseForeignFolder(config.data)
  await ensurePrivateFolder(config.data)
  const logging = createLog({
    level: config.logLevel,
    logAddresses: config.logAddresses,
    salt: await openSalt(join(config.data, 'log.salt')),
    destination: { write: io.err },
  })
  const metrics = createMetrics()
  const telemetry: Telemetry = {
    event: logging.event,
    count(name, by = 1) {
      metrics.telemetry.count(name, by)
      if (logging.log.isLevelEnabled('debug')) logging.log.debug({ by }, name)
    },
    measure: metrics.telemetry.measure,
  }
  const store = await openStore(config.data, { telemetry, freeBytesMin: () => current.config.diskFreeBytesMin, closers })
  const trace = openTraceOf(config, closers)
  const server = createWebSocketServer({
    ...(tls === undefined ? {} : { tls: tls.credentials }),
    ...(config.proxies === undefined ? {} : { proxies: config.proxies }),
    handshakeMsMax: config.limits.loginTimeoutMs ?? relayLimits.loginTimeoutMs,
    waiting: {
      get perNetworkMax() {
        return current.config.limits.connectionsPerPeerMax ?? relayLimits.connectionsPerPeerMax
      },
      networkOf,
      onRefused: () => telemetry.count('relay.limit.connectionsPerPeerMax'),
    },
  })
  const restored = (await readPrivateFile(join(config.data, restoredMark))) !== undefined
  const status = createStatus({ store, metrics, version: ownVersion(), storeBytes: () => bytesIn(join(config.data, 'store')) })
  const relay = await createRelay({
    domain: config.domain,
    host: config.host,
    port: config.port,
    routes: config.routes,
    federation: config.federation,
    ...(config.publicUrl === undefined ? {} : { url: config.publicUrl }),
    publicCards: config.publicCards,
    registration: config.registration,
    limits: config.limits,
    store,
    transport: {
      dial: dialWebSocket,
      listen: (listenOptions) => server.listen(withHealth(listenOptions, status.readiness)),
      request: requestHttp,
    },
    clock: systemClock,
    random: systemRandom,
    telemetry,
    restored,
    ...(trace === undefined ? {} : { onWire: trace.onWire }),
  })
  closers.push(() => relay.close())
  // The new epoch stands in the store now.
  if (restored) {
    await rm(join(config.data, restoredMark), { force: true })
    logging.log.warn('started on a restored store, with a new epoch')
  }
  status.start(relay)
  status.setLimits(relay.limits)
  noteTls(tls, status, logging)

  async function reload(): Promise<Changes> {
    const next = options.reread()
    if (!next.ok) {
      logging.log.error({ problems: next.problems }, 'configuration not reloaded')
      throw new ProgramError('refused', next.problems.join('\n'))
    }
    try {
      reloadTls(next.config, { server, isSecure: tls !== undefined, status, logging })
    } catch (error) {
      logging.log.error({ problems: [(error as Error).message] }, 'configuration not reloaded')
      throw new ProgramError('refused', (error as Error).message)
    }
    const changes = changesBetween({ started: options.config.origins, current: current.origins }, next.origins)
    current = next
    relay.setFederation({ routes: next.config.routes, ...next.config.federation })
    relay.setRegistration(next.config.registration)
    relay.setLimits(next.config.limits)
    status.setLimits(relay.limits)
    logging.set({ level: next.config.logLevel, logAddresses: next.config.logAddresses })
    logging.log.info(changes, 'configuration reloaded')
    return changes
  }

  await startControl(config, { store, relay, logging, status, reload, configFile: options.configFile, closers })
  if (config.adminListen !== undefined) {
    metrics.observe(status.readings)
    if (!isLoopback(config.adminListen.host))
      logging.log.warn(config.adminListen, 'whoever reaches this address can read the metrics, which name other domains')
    const admin = await listenAdmin(metrics, config.adminListen)
    closers.push(() => admin.close())
    io.out(`parley-relay metrics http://${hostText(config.adminListen.host)}:${admin.port}/metrics\n`)
  }
  return { relay, logging, metrics, status, reload }
}

async function openStore(
  data: string,
  options: { readonly telemetry: Telemetry; freeBytesMin(): number; readonly closers: (() => unknown)[] },
): Promise<GuardedStore> {
  const folder = join(data, 'store')
  await refuseHeadlessStore(folder)
  const store = await openGuardedStore({
    open: () => openLevelStore(folder, { writeBufferBytes }),
    async free() {
      const { bavail, bsize } = await statfs(data)
      return bavail * bsize
    },
    freeBytesMin: options.freeBytesMin,
    telemetry: options.telemetry,
    monotonic: systemClock.monotonic,
  })
  options.closers.push(() => store.close())
  const timer = setInterval(() => void store.look(), 1000)
  timer.unref()
  options.closers.push(() => clearInterval(timer))
  return store
}

function openTraceOf(config: Config, closers: (() => unknown)[]): Trace | undefined {
  if (config.traceWire === undefined) return undefined
  const trace = openTrace(config.traceWire, { octets: config.traceOctets, now: Date.now })
  closers.push(() => trace.close())
  return trace
}

async function startControl(
  config: Config,
  parts: {
    readonly store: Store
    readonly relay: Relay
    readonly logging: RelayLog
    readonly status: StatusReader
    readonly configFile: string | undefined
    readonly closers: (() => unknown)[]
    reload(): Promise<Changes>
  },
): Promise<void> {
  const { store, relay, logging, status, configFile, reload } = parts
  const path = controlPath(config.data)
  const note = (what: string, on?: string): void => logging.log.info(on === undefined ? {} : { on: logging.hidden(on) }, what)
  const answer = async (name: string, given: JsonObject): Promise<Json> => {
    if (name === 'status') return JSON.parse(JSON.stringify(await status.read())) as Json
    if (name === 'reload') return (await reload()) as unknown as Json
    const operation = Object.hasOwn(operations, name) ? operations[name] : undefined
    if (operation === undefined) throw new ProgramError('usage', 'the relay does not know this command; is it an older version?')
    return operation({ store, relay, url: reachedAt(config, relay.port), configFile, now: systemClock.now, note }, given)
  }
  const tell = (error: unknown): { code: string; message: string } => {
    if (error instanceof ProgramError || isMessagingError(error)) return { code: error.code, message: error.message }
    logging.log.error({ error: (error as Error).message }, 'a command failed')
    return { code: 'refused', message: (error as Error).message }
  }
  const control = await listenControl({ path, answer, tell })
  if (control === undefined) logging.log.warn({ path }, 'the path is too long for a socket: commands will not reach this relay')
  else parts.closers.push(() => control.close())
}

function reloadTls(
  config: Config,
  to: { readonly server: WebSocketServer; readonly isSecure: boolean; readonly status: StatusReader; readonly logging: RelayLog },
): void {
  // From plain to TLS or back is another listener: that waits for a restart.
  if (!to.isSecure || config.tls === undefined) return
  const tls = readTls(config.tls)
  to.server.setTls(tls.credentials)
  noteTls(tls, to.status, to.logging)
}

const monthMs = 30 * 86_400_000

function noteTls(tls: ReadTls | undefined, status: StatusReader, logging: RelayLog): void {
  if (tls === undefined) return
  status.setCertificate(tls.expiry)
  const fields = { names: tls.names, expiry: new Date(tls.expiry).toISOString() }
  const left = tls.expiry - Date.now()
  if (left < 0) logging.log.error(fields, 'the certificate has ended')
  else if (left < monthMs) logging.log.warn(fields, 'the certificate ends soon')
  else logging.log.info(fields, 'certificate')
}

async function openSalt(file: string): Promise<Uint8Array> {
  const known = await readPrivateFile(file)
  if (known !== undefined && known.length >= 16) return known
  const salt = new Uint8Array(randomBytes(32))
  await writePrivateFile(file, salt)
  return salt
}

// LevelDB's own answer leaves out what is not in a table yet.
async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder)
  // A table may go between the two looks.
  const sizes = names.map((name) =>
    stat(join(folder, name)).then(
      ({ size }) => size,
      () => 0,
    ),
  )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

function ownVersion(): string {
  return (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version
}

function hostText(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
