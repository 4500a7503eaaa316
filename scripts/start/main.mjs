// `npm start`: two people on two federated relays, in real processes with real LevelDB folders on free ports. Every line
// that is printed comes from an event that a process showed. In a terminal it then stays, with a prompt as alice.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { attachParley, followTrace, freePort, parley, startParley, startRelay, stopAll } from './processes.mjs'
import { act, bold, dim, heading, say, table } from './show.mjs'

const started = Date.now()
const folder = await mkdtemp(join(tmpdir(), 'parley-'))
const home = (name) => join(folder, name)
const trace = (name) => join(folder, `${name}.trace`)
const alice = 'alice@a.localhost'
const bob = 'bob@b.localhost'
const phone = home('bob-phone')
const laptop = home('bob-laptop')
const relays = {}

process.once('SIGINT', () => void leave(130))
process.once('SIGTERM', () => void leave(143))
try {
  await open()
  await talk()
  await dialBack()
  await mailbox()
  await killed()
  say()
  say(`Nothing was lost and nothing came twice. ${dim(`${((Date.now() - started) / 1000).toFixed(1)} s`)}`)
  if (process.stdin.isTTY && process.stdout.isTTY) await stay()
  await leave(0)
} catch (error) {
  process.stderr.write(`\nThe conversation broke off: ${error.message}\n`)
  await leave(1)
}

async function open() {
  const [portA, portB] = [await freePort(), await freePort()]
  relays.a = {
    domain: 'a.localhost',
    port: portA,
    data: home('relay-a'),
    trace: trace('a'),
    routes: [`b.localhost=ws://127.0.0.1:${portB}`],
  }
  relays.b = {
    domain: 'b.localhost',
    port: portB,
    data: home('relay-b'),
    trace: trace('b'),
    routes: [`a.localhost=ws://127.0.0.1:${portA}`],
  }
  for (const relay of [relays.a, relays.b]) relay.process = await startRelay(relay)
  say(bold('Two people, two relays, one conversation.'))
  say()
  for (const {
    domain,
    port,
    process: { pid },
  } of [relays.a, relays.b])
    act('relay', `${domain} listens on 127.0.0.1:${port}, process ${pid}`)
  for (const [who, address, folderName, port] of [
    ['alice', alice, home('alice'), portA],
    ['bob', bob, phone, portB],
  ]) {
    const output = await parley(folderName, ['init', address, '--relay', `ws://127.0.0.1:${port}`])
    act(who, `has an account: ${/link\s+(\S+)/.exec(output)[1]}`)
  }
}

// (a) Cards are fetched, the session key goes ahead, a message goes each way; the four views of one of them.
async function talk() {
  heading('a', 'alice and bob talk')
  const text = 'Hello Bob, are the tickets still to be had?'
  const traces = { a: followTrace(relays.a.trace), b: followTrace(relays.b.trace) }
  const listening = startParley(phone, ['listen', '--json', '--events', '--count', '1'])
  await listening.next(isReady)
  const sending = startParley(home('alice'), ['send', bob, text, '--json', '--events'])
  const card = await sending.next(({ event, address }) => event === 'card' && address === bob)
  act('alice', `fetched bob's card, version ${card.version}, and pinned his account key`)
  const session = await sending.next(({ event }) => event === 'session')
  act('alice', `made a session key and sent it ahead to ${session.ahead} device${session.ahead === 1 ? '' : 's'} of bob`)
  const { id } = await sending.next(({ event }) => event === 'accepted')
  act('alice', `${text}   ${dim(`accepted ${short(id)}`)}`)
  const read = await listening.next((line) => line.id === id)
  act('bob', `reads: ${read.text}`)
  await Promise.all([listening.ended, sending.ended])

  const answer = 'Two left. Shall I?'
  const waiting = startParley(home('alice'), ['listen', '--json', '--events', '--count', '1'])
  await waiting.next(isReady)
  await parley(phone, ['send', alice, answer, '--reply', id])
  const reply = await waiting.next((line) => line.text === answer)
  act('alice', `reads: ${reply.text}   ${dim(`a reply to ${short(reply.referent_id)}`)}`)
  await waiting.ended

  say()
  say('  The same message, four times:')
  const isMessage = ({ direction, header }) =>
    direction === 'in' && header?.t === 'stanza' && header.from === alice && header.entries?.[0]?.[0] === '*'
  const [atA, atB] = [await traces.a.next(isMessage), await traces.b.next(isMessage)]
  table([
    ['alice wrote', text],
    ['relay a saw', view(atA)],
    ['relay b saw', view(atB)],
    ['bob read', read.text],
  ])
  traces.a.close()
  traces.b.close()
}

// (b) A device that was added while alice holds the old card gets her message without the key, and asks for it.
async function dialBack() {
  heading('b', 'bob adds a laptop while alice still has his old card')
  const { port } = relays.b
  const [link] = /im:\S+/.exec(await parley(phone, ['contacts']))
  const line = (await parley(laptop, ['device', 'request', bob, '--relay', `ws://127.0.0.1:${port}`, '--account', link])).trim()
  act('bob laptop', `asks to be let in: ${line.slice(0, 56)}…`)
  await parley(phone, ['device', 'approve', line])
  act('bob phone', 'approves it and signs the next card')
  const onPhone = startParley(phone, ['listen', '--json', '--events'])
  const onLaptop = startParley(laptop, ['listen', '--json', '--events', '--count', '1'])
  await Promise.all([onPhone.next(isReady), onLaptop.next(({ event, address }) => event === 'card' && address === bob)])
  const text = 'Yes please, both.'
  const sending = startParley(home('alice'), ['send', bob, text, '--json', '--events'])
  const [onFirst, locked] = await Promise.all([
    onPhone.next((line) => line.text === text),
    onLaptop.next(({ event, cause }) => event === 'locked' && cause === 'key-unknown'),
  ])
  act('alice', `${text}   ${dim('under the session key that the laptop never got')}`)
  act('bob phone', `reads: ${onFirst.text}`)
  act('bob laptop', `cannot open it: ${locked.cause}; it asks for the key with a fresh key of its own`)
  const pinned = await onLaptop.next(({ event, address }) => event === 'card' && address === alice)
  act('bob laptop', `got the key; fetched alice's card, version ${pinned.version}, to know who signed`)
  const late = await onLaptop.next((line) => line.text === text)
  act('bob laptop', `reads: ${late.text}`)
  await Promise.all([sending.ended, onLaptop.ended])
  await onPhone.stop()
}

// (c) Nobody is there to read: the relay keeps what comes, in order.
async function mailbox() {
  heading('c', 'bob goes away, and comes back')
  const texts = ['Platform 3.', 'No, platform 5!', 'I have your seat.']
  const output = await parley(home('alice'), ['send', bob, '--json'], { input: `${texts.join('\n')}\n` })
  const ids = output
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ event }) => event === 'accepted')
    .map(({ id }) => id)
  for (const [i, text] of texts.entries()) act('alice', `${text}   ${dim(`accepted ${short(ids[i])}`)}`)
  const listening = startParley(phone, ['listen', '--json', '--count', '3'])
  for (const text of texts) {
    const { text: read } = await listening.next((line) => line.id !== undefined)
    if (read !== text) throw new Error(`bob read "${read}" where alice wrote "${text}"`)
    act('bob phone', `reads: ${read}`)
  }
  await listening.ended
}

// (d) The relay dies with a message in its keeping.
async function killed() {
  heading('d', 'relay b is killed between accepting and delivering')
  const traced = followTrace(relays.b.trace)
  const text = 'Mind the gap.'
  await parley(home('alice'), ['send', bob, text])
  await traced.next(({ direction, header }) => direction === 'in' && header?.t === 'stanza' && header.from === alice)
  await traced.next(({ direction, header }) => direction === 'out' && header?.t === 'ack')
  act('relay', 'b.localhost has the message and said so')
  traced.close()
  await relays.b.process.kill()
  act('relay', 'b.localhost is gone (SIGKILL)')
  relays.b.process = await startRelay(relays.b)
  act('relay', `b.localhost is back, process ${relays.b.process.pid}`)
  // Whatever came twice would come before the second message.
  const second = 'Still there?'
  const listening = startParley(phone, ['listen', '--json', '--count', '2'])
  const first = await listening.next((line) => line.id !== undefined)
  act('bob phone', `reads: ${first.text}`)
  await parley(home('alice'), ['send', bob, second])
  const next = await listening.next((line) => line.id !== undefined)
  act('bob phone', `reads: ${next.text}`)
  if (first.text !== text || next.text !== second) throw new Error('a message was lost or doubled')
  await listening.ended
}

async function stay() {
  say()
  say(`You are alice now. To be bob, paste this into a second terminal:`)
  say()
  say(bold(`  npm run -s parley -- chat ${alice} --home "${phone}"`))
  say()
  say(dim('Ctrl-D ends the conversation and the relays.'))
  await attachParley(home('alice'), ['chat', bob])
}

async function leave(code) {
  await Promise.all(Object.values(relays).map((relay) => relay.process?.stop().catch(() => {})))
  stopAll()
  await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  process.exit(code)
}

function isReady({ event, state }) {
  return event === 'connection' && state === 'ready'
}

function short(id) {
  return `${id.slice(9, 17)}…`
}

function view({ header, body }) {
  // What kind of frame it is stands first, for whoever reads it here.
  return `${JSON.stringify({ t: header.t, ...header })} ${body.slice(0, 60)}…`
}
