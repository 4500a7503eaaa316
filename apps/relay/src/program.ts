/**
 * The program `parley-relay`: reads its configuration, composes the relay with LevelDB, WebSockets and the system clock, says on
 * standard output when it is ready, and drains on SIGTERM. SIGHUP reads the routes again.
 * @module
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMessagingError, type Store } from '@parley/core'
import { ensurePrivateFolder, refuseHeadlessStore } from '@parley/platform/files'
import { requestHttp } from '@parley/platform/http'
import { openLevelStore } from '@parley/platform/level'
import { listenWebSocket } from '@parley/platform/server'
import { systemClock, systemRandom } from '@parley/platform/system'
import { dialWebSocket } from '@parley/platform/websocket'
import { createRelay, type Relay } from '@parley/relay'
import { Command, CommanderError, Option } from 'commander'
import { type Config, type ConfigResult, configVariable, fromEnvironment, makeConfig, type RawConfig } from './config.ts'
import { createLog, type RelayLog } from './telemetry.ts'
import { openTrace, type Trace } from './trace.ts'

/** The process, as far as the program needs it. */
export type ProgramIo = {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  out(text: string): void
  err(text: string): void
  /** Calls the function at each of these signals; the answer stops that. */
  onSignal(names: readonly string[], fn: (name: string) => void): () => void
}

/** 0 drained, 1 could not start or failed, 2 usage. */
export type ExitCode = 0 | 1 | 2

/** Runs until a signal ends it. */
export async function runProgram(io: ProgramIo): Promise<ExitCode> {
  const command = makeCommand(io)
  try {
    command.parse([...io.argv], { from: 'user' })
  } catch (error) {
    // Commander has said what is wrong, or shown the help.
    return error instanceof CommanderError && error.exitCode === 0 ? 0 : 2
  }
  const { config: configFile, route, ...flags } = command.opts<Record<string, unknown>>()
  const raw: RawConfig = { ...flags, ...(route === undefined ? {} : { routes: route }) }
  const file = (configFile as string | undefined) ?? io.env[configVariable]
  const result = readConfig({ flags: raw, env: io.env, file })
  if (!result.ok) {
    for (const problem of result.problems) io.err(`parley-relay: ${problem}\n`)
    return 2
  }
  return serve(io, { config: result.config, reread: () => readConfig({ flags: raw, env: io.env, file }) })
}

function makeCommand(io: ProgramIo): Command {
  const collect = (value: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), value]
  return new Command('parley-relay')
    .description('A Parley relay for one domain.')
    .option('--domain <domain>', 'the domain it answers for, such as a.localhost')
    .option('--data <folder>', 'the folder it keeps everything in')
    .option('--host <host>', 'the address it listens on (default 127.0.0.1)')
    .option('--port <port>', 'the port it listens on; 0 takes a free one (default 0)')
    .option(
      '--route <domain=url>',
      'where another domain’s relay is: b.localhost=ws://127.0.0.1:4002[,key=THUMBPRINT]; repeatable',
      collect,
    )
    .addOption(
      new Option('--registration <who>', 'who may open accounts (default open on loopback, else closed)').choices([
        'open',
        'closed',
      ]),
    )
    .option('--config <file>', 'a JSON file with the same names (routes as a list); SIGHUP reads its routes again')
    .addOption(
      new Option('--log-level <level>', 'of the log on standard error').choices(['debug', 'info', 'warn', 'error', 'silent']),
    )
    .option('--trace-wire <file>', 'for development: appends every frame’s header and first octets as JSON lines')
    .option('--trace-octets <count>', 'octets of each payload in the trace; 0 for all (default 48)')
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err })
}

function readConfig(sources: {
  readonly flags: RawConfig
  readonly env: ProgramIo['env']
  readonly file: string | undefined
}): ConfigResult {
  const { raw, problems } = fromEnvironment(sources.env)
  if (problems.length > 0) return { ok: false, problems }
  let inFile: RawConfig = {}
  if (sources.file !== undefined) {
    try {
      inFile = JSON.parse(readFileSync(sources.file, 'utf8')) as RawConfig
    } catch {
      return { ok: false, problems: [`${sources.file}: cannot be read as JSON`] }
    }
    if (typeof inFile !== 'object' || inFile === null || Array.isArray(inFile))
      return { ok: false, problems: [`${sources.file}: is not a JSON object`] }
  }
  return makeConfig([sources.flags, raw, inFile])
}

async function serve(
  io: ProgramIo,
  options: { readonly config: Config; readonly reread: () => ConfigResult },
): Promise<ExitCode> {
  const { config, reread } = options
  const logging = createLog({ level: config.logLevel, destination: { write: io.err } })
  let store: Store | undefined
  let trace: Trace | undefined
  try {
    await ensurePrivateFolder(config.data)
    await refuseHeadlessStore(join(config.data, 'store'))
    store = await openLevelStore(join(config.data, 'store'))
    trace =
      config.traceWire === undefined ? undefined : openTrace(config.traceWire, { octets: config.traceOctets, now: Date.now })
    const relay = await start({ config, store, trace, logging })
    io.out(`parley-relay ready domain=${relay.domain} port=${relay.port} key=${relay.key}\n`)
    const stopReloading = io.onSignal(['SIGHUP'], () => reload(relay, { reread, logging }))
    await new Promise<void>((done) => io.onSignal(['SIGTERM', 'SIGINT'], () => done()))
    stopReloading()
    logging.log.info('draining')
    await relay.close()
    logging.log.info({ totals: logging.totals() }, 'drained')
    return 0
  } catch (error) {
    const { message } = error as Error
    io.err(
      isMessagingError(error)
        ? `parley-relay: ${error.code}: ${message}${adviceFor(error.code)}\n`
        : `parley-relay: ${message}\n`,
    )
    return 1
  } finally {
    trace?.close()
    await store?.close()
  }
}

function start(parts: {
  readonly config: Config
  readonly store: Store
  readonly trace: Trace | undefined
  readonly logging: RelayLog
}): Promise<Relay> {
  const { config, store, trace, logging } = parts
  const { domain, host, port, routes, registration, limits } = config
  return createRelay({
    domain,
    host,
    port,
    routes,
    registration,
    limits,
    store,
    transport: { dial: dialWebSocket, listen: listenWebSocket, request: requestHttp },
    clock: systemClock,
    random: systemRandom,
    telemetry: logging.telemetry,
    ...(trace === undefined ? {} : { onWire: trace.onWire }),
  })
}

function reload(relay: Relay, { reread, logging }: { readonly reread: () => ConfigResult; readonly logging: RelayLog }): void {
  const result = reread()
  if (!result.ok) {
    logging.log.error({ problems: result.problems }, 'configuration not reloaded')
    return
  }
  relay.setRoutes(result.config.routes)
  logging.log.info({ routes: result.config.routes.length }, 'routes reloaded')
}

function adviceFor(code: string): string {
  if (code === 'ERR_CORE_STORE_LOCKED') return '; is another relay running on this folder?'
  if (code === 'ERR_CORE_STORE_CORRUPT') return '; keep a copy of the folder before anything else'
  if (code === 'ERR_CORE_LISTEN_FAILED') return '; is the port taken?'
  return ''
}
