/**
 * The program `parley-relay`: without a command it runs a relay; the commands ask one that runs, or look after its store.
 * @module
 */
import { isMessagingError } from '@parley/core'
import { Command, CommanderError, Option } from 'commander'
import { checkConfig } from './check-config.ts'
import * as commands from './commands.ts'
import { reachedAt } from './config.ts'
import { examine } from './doctor.ts'
import { hint } from './nearest.ts'
import { ProgramError } from './program-error.ts'
import { type ServeIo, serve } from './serve.ts'
import { settings } from './settings.ts'
import { readDuration } from './show.ts'
import { type Given, given, readConfig, readData } from './sources.ts'

/** The process, as far as the program needs it. */
export type ProgramIo = ServeIo & {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
}

/** 0 done; 1 failed, or something was found; 2 usage or configuration; the others as sysexits.h has them. */
export type ExitCode = 0 | 1 | 2 | 65 | 69 | 73 | 78

/** Runs until it is done, or a signal ends it. */
export async function runProgram(io: ProgramIo): Promise<ExitCode> {
  let code: ExitCode = 0
  const command = makeCommand(io, (next) => {
    code = next
  })
  try {
    await command.parseAsync([...io.argv], { from: 'user' })
    return code
  } catch (error) {
    // Commander has said what is wrong, or shown the help.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    const { message } = error as Error
    io.err(`parley-relay: ${isMessagingError(error) ? `${error.code}: ` : ''}${message}${adviceFor(error)}\n`)
    return codeFor(error)
  }
}

function makeCommand(io: ProgramIo, exit: (code: ExitCode) => void): Command {
  const collect = (value: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), value]
  const program = new Command('parley-relay')
    .description('A Parley relay for one domain. Without a command it runs.')
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err })
  for (const { flag, kind, what, choices } of settings) {
    if (flag === undefined) continue
    const option = new Option(flag, what)
    if (choices !== undefined) option.choices(choices)
    if (kind === 'list') option.argParser(collect)
    program.addOption(option)
  }
  program.option('--config <file>', 'a JSON file with the settings by their names (routes as a list); SIGHUP reads it again')
  const from = (): Given => given(program.opts(), io.env)
  program.allowExcessArguments().action(() => {
    const [unknown] = program.args
    if (unknown === undefined) return run(io, { from, exit })
    const known = program.commands.map((each) => each.name())
    throw new ProgramError('usage', `${unknown}: no such command${hint(unknown, known)}`)
  })

  const make = (parent: Command, usage: string, what: string): Command =>
    parent.command(usage).description(what).option('--json', 'prints JSON')
  /** Binds a command to its data folder. */
  const on =
    <T extends unknown[]>(work: (at: commands.CommandIo, ...values: T) => unknown) =>
    async (...values: unknown[]): Promise<void> => {
      const command = values.at(-1) as Command
      const at = place(io, { from: from(), json: command.opts<{ json?: boolean }>().json === true })
      // Commander hands over the arguments, then the options.
      await work(at, ...(values.slice(0, -1) as T))
    }

  make(program, 'check-config', 'shows with which settings it would run, and where each comes from; or all that is wrong').action(
    (options: { json?: boolean }) => {
      if (!checkConfig(readConfig(from()), { ...io, json: options.json === true })) exit(2)
    },
  )
  make(program, 'status', 'how the running relay is').action(on(commands.showStatus))
  make(program, 'top', 'a live view of the running relay')
    .option('--once', 'shows it once')
    .option('--interval <time>', 'between two looks (default 2s)')
    .action(
      on(async (at, { once, interval }: { once?: boolean; interval?: string }) => {
        const intervalMs = time(interval, '--interval') ?? 2000
        const stopped = new Promise<void>((done) => io.onSignal(['SIGINT', 'SIGTERM'], () => done()))
        await commands.showTop(at, { once: once === true, intervalMs, stopped })
      }),
    )
  make(program, 'reload', 'what SIGHUP does, and says what changed').action(on(commands.reloadConfig))

  const account = program.command('account').description('the accounts of this domain')
  make(account, 'list', 'their addresses, a hundred at a time')
    .option('--after <address>', 'goes on behind this one')
    .option('--limit <count>', 'how many')
    .action(
      on((at, { after, limit }: { after?: string; limit?: string }) => commands.listAccounts(at, present({ after, limit }))),
    )
  make(account, 'show <address>', 'its devices and what waits for them').action(on(commands.showAccount))
  make(account, 'remove <address>', 'deletes it with all its data, and ends its connections').action(on(commands.removeAccount))

  const invite = program.command('invite').description('invitations, for registration "invite"')
  make(invite, 'create', 'makes one; its link is shown this once')
    .option('--expires <time>', 'how long it is good for (default 7d)')
    .option('--uses <count>', 'how many accounts may be opened with it (default 1)')
    .action(
      on((at, { expires, uses }: { expires?: string; uses?: string }) =>
        commands.createInvite(at, present({ lifetimeMs: time(expires, '--expires'), uses })),
      ),
    )
  make(invite, 'list', 'those that may still be used').action(on(commands.listInvites))
  // An id may begin with a hyphen, and even with -h.
  make(invite, 'revoke <id>', 'ends one').allowUnknownOption().helpOption(false).action(on(commands.revokeInvite))

  const block = program.command('block').description('addresses and domains from which nobody here takes anything')
  make(block, 'list', 'shows them').action(on(commands.listBlocks))
  make(block, 'add <name>', 'blocks an address or a domain').action(
    on((at, name: string) => commands.changeBlocks(at, 'add', name)),
  )
  make(block, 'remove <name>', 'takes it off the list').action(
    on((at, name: string) => commands.changeBlocks(at, 'remove', name)),
  )

  const queue = program.command('queue').description('what waits for other domains')
  make(queue, 'list', 'shows it').action(on(commands.listQueues))
  make(queue, 'retry <domain>', 'tries again now').action(on(commands.retryQueue))
  make(queue, 'drop <domain>', 'gives up what waits, and tells the senders').action(on(commands.dropQueue))

  const key = program.command('key').description('the key by which this relay proves its domain')
  make(key, 'change', 'makes a new one, signed by the old one').action(on(commands.changeKey))

  make(program, 'backup <folder>', 'copies the whole store into a new folder, also while the relay runs').action(
    on(commands.makeBackup),
  )
  make(program, 'restore <folder>', 'puts a backup into a data folder without a store').action(on(commands.restoreBackup))
  make(program, 'doctor', 'looks through the store and says what it would repair')
    .option('--repair', 'repairs it; the relay must not run')
    .action(
      on(async (at, { repair }: { repair?: boolean }) => {
        if (!(await examine(at, { repair: repair === true }))) exit(1)
      }),
    )
  return program
}

async function run(io: ProgramIo, { from, exit }: { from(): Given; exit(code: ExitCode): void }): Promise<void> {
  const config = readConfig(from())
  if (config.ok) {
    await serve(io, { config, configFile: from().file, reread: () => readConfig(from()) })
    return
  }
  for (const problem of config.problems) io.err(`parley-relay: ${problem}\n`)
  exit(2)
}

function place(io: ProgramIo, { from, json }: { readonly from: Given; readonly json: boolean }): commands.CommandIo {
  const data = readData(from)
  if (data === undefined) throw new ProgramError('usage', 'which relay? --data FOLDER or --config FILE says so')
  const read = readConfig(from)
  // A relay that takes a free port is reached nowhere before it runs.
  const url = read.ok && read.config.port > 0 ? reachedAt(read.config, read.config.port) : undefined
  return { data, json, configFile: from.file, url, limits: read.ok ? read.config.limits : {}, out: io.out, err: io.err }
}

function time(text: string | undefined, flag: string): number | undefined {
  if (text === undefined) return undefined
  const ms = readDuration(text)
  if (ms === undefined || ms === 0) throw new ProgramError('usage', `${flag}: is a time such as 30s, 2h or 7d`)
  return ms
}

function present<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never
}

function adviceFor(error: unknown): string {
  const code = isMessagingError(error) ? error.code : ''
  if (code === 'ERR_CORE_STORE_LOCKED') return '; is another relay running on this folder?'
  if (code.endsWith('_STORE_CORRUPT')) return '; keep a copy of the folder before anything else, then see `parley-relay doctor`'
  if (code === 'ERR_RELAY_DOMAIN_MISMATCH') return '; does --data name the folder of this domain?'
  if (code === 'ERR_CORE_LISTEN_FAILED') return '; is the port taken?'
  return ''
}

function codeFor(error: unknown): ExitCode {
  if (error instanceof ProgramError)
    return error.code === 'usage' ? 2 : error.code === 'not-running' ? 69 : error.code === 'running' ? 73 : 1
  const code = isMessagingError(error) ? error.code : ''
  if (code === 'ERR_CORE_STORE_LOCKED') return 73
  if (code.endsWith('_STORE_CORRUPT')) return 65
  return code.endsWith('_STORE_NEWER') || code === 'ERR_RELAY_DOMAIN_MISMATCH' ? 78 : 1
}
