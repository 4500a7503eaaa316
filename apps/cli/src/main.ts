/**
 * `parley`: the command line. Reads arguments, runs one command, maps what went wrong to an exit code.
 * @module
 */
import { systemRandom } from '@parley/platform/system'
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { addContact, deviceApprove, deviceList, deviceRemove, deviceRequest, init, listContacts, verify } from './account.ts'
import { exitCodes, explain } from './exit.ts'
import { jwmHelp, jwmVerbs, runJwmLines } from './jwm.ts'
import { block, removeAccount } from './membership.ts'
import { parseDuration } from './profile.ts'
import { visible } from './show.ts'
import { chatWith, listen, send } from './talk.ts'

// What a profile folder holds is for its owner alone, whatever the shell's mask says.
process.umask(0o077)

const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

// Answers are made no faster than they are read.
const printAll = (text: string): Promise<void> | void => {
  if (!process.stdout.write(text)) return new Promise((done) => process.stdout.once('drain', () => done()))
}

const duration = (text: string): number => {
  try {
    return parseDuration(text)
  } catch {
    throw new InvalidArgumentError('a duration like 500ms, 10s or 2m')
  }
}
const count = (text: string): number => {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('a positive whole number')
  return value
}

// A reader that went away, as `head` does, is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? exitCodes.done : exitCodes.failed)
})

const home = (): Option => new Option('--home <folder>', 'the profile folder').env('PARLEY_HOME')
const program = new Command('parley').description('Secure messages between people and programs.').version('0.1.0').exitOverride()

program
  .command('init')
  .description('make an account on a relay; shows the recovery key once')
  .argument('<address>', 'local@domain; with an invitation link the local part is enough')
  .option('--relay <url>', 'the relay of that domain, wss://…, or ws:// on loopback; wss:// and the domain unless said otherwise')
  .option('--invite <link>', 'the invitation, as its link or its token, for a relay that asks for one')
  .option('--timeout <duration>', 'how long to wait for the relay', duration, 30_000)
  .addOption(home())
  .action((address, options) => init(address, options, print))

program
  .command('send')
  .description('send a text, or one message a line from standard input')
  .argument('<address>')
  .argument('[text...]')
  .addOption(new Option('--wait <state>', 'wait until it is').choices(['queued', 'accepted', 'delivered']).default('accepted'))
  .option('--timeout <duration>', 'how long to wait', duration, 30_000)
  .option('--reply <id>', 'the message this one replies to')
  .option('--json', 'one JSON object a line')
  .option('--events', 'also print what happens to the agent')
  .addOption(home())
  .action((address, text, options) => send(address, text, options))

program
  .command('listen')
  .description('print messages as they come')
  .option('--json', 'one JSON object a line: id, attempt, from, text')
  .option('--events', 'also print what happens to the agent')
  .option('--count <n>', 'end after so many messages', count)
  .addOption(home())
  .action((options) => listen(options))

program
  .command('chat')
  .description('talk with somebody, line by line')
  .argument('<address>')
  .addOption(home())
  .action((address, options) => chatWith(address, options))

const contacts = program
  .command('contacts')
  .description('list contacts')
  .addOption(home())
  .action((options) => listContacts(options, print))
contacts
  .command('add')
  .description('add somebody by link')
  .argument('<link>', 'im:local@domain?k=…')
  .addOption(home())
  .action((link, _options, command) => addContact(link, command.optsWithGlobals(), print))

program
  .command('verify')
  .description('show the safety number with somebody')
  .argument('<address>')
  .option('--confirm', 'you have compared it: remember that')
  .option(
    '--decide <decision>',
    'end a held state: keep the pinned keys or trust those offered; take or drop what a compromised device sent',
  )
  .addOption(home())
  .action((address, options) => verify(address, options, print))

const device = program.command('device').description('the devices of this account')
device
  .command('request')
  .description('make a profile for a further device; prints the line that an admin device approves')
  .argument('<address>')
  .requiredOption('--relay <url>')
  .option('--account <link>', "the account's link, so that the relay need not be trusted")
  .addOption(home())
  .action((address, options) => deviceRequest(address, options, print))
device
  .command('approve')
  .argument('<line>')
  .addOption(home())
  .action((line, options) => deviceApprove(line, options, print))
device
  .command('remove')
  .description('take a device off the account for good, on an admin device')
  .argument('<id>', 'as device list shows it')
  .addOption(
    new Option('--reason <reason>', 'compromised: it is not heard any more; retired: what it sent before still is')
      .choices(['retired', 'compromised'])
      .makeOptionMandatory(),
  )
  .addOption(home())
  .action((id, options) => deviceRemove(id, options, print))
device
  .command('list')
  .addOption(home())
  .action((options) => deviceList(options, print))

program
  .command('block')
  .description('have the relay take nothing from somebody; without an argument list who is blocked')
  .argument('[from]', 'an address, or a whole domain')
  .option('--remove', 'hear them again')
  .option('--timeout <duration>', 'how long to wait for the relay', duration, 30_000)
  .addOption(home())
  .action((from, options) => block(from, options, print))

const account = program.command('account').description('this account on its relay')
account
  .command('remove')
  .description('close the account for good, on an admin device: its cards, its mail and this profile are deleted')
  .option('--confirm <address>', 'the address, repeated')
  .option('--timeout <duration>', 'how long to wait for the relay', duration, 30_000)
  .addOption(home())
  .action((options) => removeAccount(options, print))

program
  .command('jwm')
  .description('the envelope itself: one JSON request a line in, one JSON result a line out')
  .addArgument(new Argument('<verb>').choices(jwmVerbs))
  .addHelpText('after', jwmHelp)
  .action((verb) => runJwmLines(verb, process.stdin, { random: systemRandom, write: printAll }))

try {
  await program.parseAsync()
  process.exitCode ??= exitCodes.done
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.usage
  } else {
    const { exitCode, line } = explain(error)
    process.stderr.write(`parley: ${visible(line)}\n`)
    process.exitCode = exitCode
  }
}
