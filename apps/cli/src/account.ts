/**
 * `parley init`, `contacts`, `verify` and `device`: who one is, whom one knows, and which devices speak for one.
 * @module
 */
import { discardProfile, requestDevice } from '@parley/agent/node'
import { parseContactLink, type RemovalReason } from '@parley/identity'
import { CommandFailed, exitCodes } from './exit.ts'
import { newAccount } from './membership.ts'
import { homeOf, interruption, leave, open, relayUrl, untilReady } from './profile.ts'

type Home = { readonly home?: string | undefined }
type Print = (line: string) => void

export async function init(
  address: string,
  options: Home & { readonly relay?: string | undefined; readonly invite?: string | undefined; readonly timeout: number },
  print: Print,
): Promise<void> {
  let recovery: string | undefined
  const home = homeOf(options)
  const agent = await open({
    home,
    ...newAccount(address, options),
    onRecoveryKey: (key) => {
      recovery = key
    },
  })
  try {
    if (recovery === undefined) throw new CommandFailed(exitCodes.failed, 'there is a profile in this folder already')
    print(`address       ${agent.address}`)
    print(`link          ${agent.link}`)
    print(`recovery key  ${recovery}`)
    print('Write the recovery key down: it is shown this once and kept on no device.')
    await untilReady(agent, interruption(options.timeout))
  } catch (error) {
    await agent.close()
    // A refused address is nobody's account; the next try, with another one, must find the folder as it was.
    if (recovery !== undefined && error instanceof CommandFailed && error.exitCode === exitCodes.failed) {
      await discardProfile({ home })
      throw new CommandFailed(error.exitCode, `${error.message}; no profile was made`)
    }
    throw error
  } finally {
    await agent.close()
  }
}

export async function listContacts(options: Home, print: Print): Promise<void> {
  const agent = await open({ home: homeOf(options) })
  try {
    print(`me  ${agent.link}`)
    for (const { link, verified, held } of agent.contacts()) {
      print([link, verified ? 'verified' : 'not verified', ...(held === undefined ? [] : [`held: ${held}`])].join('  '))
    }
  } finally {
    await leave(agent)
  }
}

export async function addContact(link: string, options: Home, print: Print): Promise<void> {
  const agent = await open({ home: homeOf(options) })
  try {
    const contact = await agent.addContact(link)
    print(`${contact.link}  added`)
  } finally {
    await leave(agent)
  }
}

/** Of `agent.decide`. */
const decisions = ['keep', 'trust', 'take', 'drop'] as const

export async function verify(
  address: string,
  options: Home & { readonly confirm?: boolean | undefined; readonly decide?: string | undefined },
  print: Print,
): Promise<void> {
  const agent = await open({ home: homeOf(options) })
  try {
    if (options.decide !== undefined) {
      const decision = decisions.find((known) => known === options.decide)
      if (decision === undefined) throw new TypeError('--decide: keep, trust, take or drop')
      await agent.decide(address, decision)
    }
    const { number, verified } = await agent.safetyNumber(address)
    print(number)
    if (options.confirm === true) {
      await agent.markVerified(address)
      print('verified')
    } else print(verified ? 'verified' : 'not verified: compare the number with theirs, then run this again with --confirm')
  } finally {
    await leave(agent)
  }
}

export async function deviceRequest(
  address: string,
  options: Home & { readonly relay: string; readonly account?: string | undefined },
  print: Print,
): Promise<void> {
  const account = options.account === undefined ? undefined : parseContactLink(options.account).account
  const { line } = await requestDevice({
    home: homeOf(options),
    address,
    relay: relayUrl(options.relay),
    ...(account === undefined ? {} : { account }),
  })
  print(line)
}

export async function deviceApprove(line: string, options: Home, print: Print): Promise<void> {
  const agent = await open({ home: homeOf(options) })
  try {
    await agent.approveDevice(line)
    print('approved')
  } finally {
    await leave(agent)
  }
}

/** Takes a device off the account's card, for good. */
export async function deviceRemove(id: string, options: Home & { readonly reason: RemovalReason }, print: Print): Promise<void> {
  const agent = await open({ home: homeOf(options) })
  try {
    const device = agent.devices().find((candidate) => candidate.id === id)
    if (device === undefined) throw new CommandFailed(exitCodes.failed, 'no device of this account has this id: see device list')
    await agent.removeDevice(id, options.reason)
    print(device.removed === undefined ? `removed as ${options.reason}` : `was removed as ${device.removed} before`)
  } finally {
    await leave(agent)
  }
}

export async function deviceList(options: Home, print: Print): Promise<void> {
  const agent = await open({ home: homeOf(options) })
  try {
    const devices = agent.devices()
    if (devices.length === 0) print(`${agent.device}  this device, not approved yet: ${agent.deviceLine}`)
    for (const { id, admin, self, removed, added } of devices) {
      const words = [self ? 'this device' : '', admin ? 'admin' : '', removed ?? ''].filter((word) => word !== '')
      print(`${id}  ${new Date(added * 1000).toISOString()}  ${words.join(', ')}`)
    }
  } finally {
    await leave(agent)
  }
}
