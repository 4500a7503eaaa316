/**
 * Servers of XMPP on the same work: Prosody and ejabberd, spoken to over WebSocket (RFC 7395) with acknowledgements both ways
 * (XEP-0198). Each has a configuration of its own with what the work needs and no more; accounts are made in band (XEP-0077).
 * A body is 1 KiB of text, as base64 of its first 768 octets. Nothing is written outside the folder.
 * @module
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Client, dialWebSocket, freePort, type Listener, type Service, startServer } from './relay-service.ts'

const host = 'localhost'

/** Prosody with its own files as the store. */
export async function startProsody(folder: string): Promise<Service> {
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  const config = join(folder, 'prosody.cfg.lua')
  const lines = [
    `data_path = "${folder}"`,
    'pidfile = "prosody.pid"',
    'daemonize = false',
    // A third less processor time than with its default.
    'gc = { mode = "generational" }',
    'run_as_root = true',
    'log = { { levels = { min = "info" }, to = "console" } }',
    'modules_enabled = { "saslauth", "websocket", "smacks", "register_ibr" }',
    'modules_disabled = { "s2s" }',
    'c2s_ports = {}',
    `http_ports = { ${port} }`,
    'http_interfaces = { "127.0.0.1" }',
    'https_ports = {}',
    `http_default_host = "${host}"`,
    'c2s_require_encryption = false',
    'allow_unencrypted_plain_auth = true',
    'authentication = "internal_plain"',
    'allow_registration = true',
    `VirtualHost "${host}"`,
  ]
  writeFileSync(config, `${lines.join('\n')}\n`)
  const command = ['prosody', '--config', config, '-F']
  const server = await startServer(command, { ready: /Activated service 'http'/, port, cwd: folder })
  return service('prosody', server, 'xmpp-websocket')
}

/** ejabberd with Mnesia as the store, as a node without a name: no port mapper is started for it. */
export async function startEjabberd(folder: string): Promise<Service> {
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  const config = join(folder, 'ejabberd.yml')
  const lines = [
    `hosts: ["${host}"]`,
    'loglevel: info',
    'listen:',
    `  - port: ${port}`,
    '    ip: "127.0.0.1"',
    '    module: ejabberd_http',
    '    request_handlers:',
    '      /ws: ejabberd_http_ws',
    'auth_method: internal',
    'auth_password_format: plain',
    'registration_timeout: infinity',
    'access_rules:',
    '  anybody:',
    '    allow: all',
    'shaper_rules:',
    '  offline: infinity',
    'modules:',
    '  mod_register:',
    '    access: anybody',
    '    ip_access: anybody',
    '  mod_offline:',
    '    access_max_user_messages: offline',
    '  mod_stream_mgmt: {}',
  ]
  writeFileSync(config, `${lines.join('\n')}\n`)
  // Its own script says where its modules are; it also insists on a user of its own, so it is not run.
  const script = readFileSync(spawnSync('which', ['ejabberdctl'], { encoding: 'utf8' }).stdout.trim(), 'utf8')
  const modules = /^ *ERL_LIBS='?([^'\n]+)/m.exec(script)?.[1] ?? ''
  const command = ['erl', '+P', '250000', '+Q', '65536', '-noinput', '-mnesia', 'dir', JSON.stringify(join(folder, 'spool'))]
  // On disc only, as it is made, each message for somebody costs as much as all that wait for them already.
  const inMemoryToo = '{atomic, ok} = mnesia:change_table_copy_type(offline_msg, node(), disc_copies), io:put_chars("ready\\n").'
  const server = await startServer([...command, '-s', 'ejabberd', '-eval', inMemoryToo], {
    ready: /^ready/,
    port,
    cwd: folder,
    env: {
      HOME: folder,
      ERL_LIBS: modules,
      ERL_CRASH_DUMP_BYTES: '0',
      EJABBERD_CONFIG_PATH: config,
      EJABBERD_LOG_PATH: join(folder, 'ejabberd.log'),
    },
  })
  return service('ejabberd', server, 'ws')
}

function service(name: string, server: Awaited<ReturnType<typeof startServer>>, path: string): Service {
  const known = new Set<number>()
  const url = `ws://127.0.0.1:${server.port}/${path}`
  return {
    ...server,
    name,
    stores: true,
    async connect(id, listener) {
      const client = await connectXmpp(url, id, { listener, isNew: !known.has(id) })
      known.add(id)
      return client
    },
  }
}

const open = `<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="${host}" version="1.0"/>`
const isFeatures = /^<(stream:)?features/
const isResult = /^<iq .*type=['"]result/
const password = 'bench'
const carriedBytes = 768

type Waiting = {
  readonly expected: RegExp
  readonly done: (frame: string) => void
  readonly failed: (why: Error) => void
}
type Options = { readonly listener: Listener; readonly isNew: boolean }

async function connectXmpp(url: string, id: number, { listener, isNew }: Options): Promise<Client> {
  const socket = dialWebSocket(url, 'xmpp')
  const closed = new Promise<void>((done) => socket.once('close', () => done()))
  let waiting: Waiting | undefined
  // Counted from `<enable/>` on: what the server sent, and what it has handled of what it was sent.
  let [received, handled, sent] = [0, 0, 0]
  let isAsking = false

  const ask = (): void => {
    isAsking = true
    // After all that this turn sends.
    queueMicrotask(() => socket.send('<r xmlns="urn:xmpp:sm:3"/>'))
  }
  const acknowledged = (frame: string): void => {
    const count = Number(/ h=['"](\d+)/.exec(frame)?.[1]) - handled
    handled += count
    isAsking = false
    if (count > 0) listener.accepted?.(count)
    if (handled < sent && !isAsking) ask()
  }
  const expect = (expected: RegExp, send: string): Promise<string> =>
    new Promise((done, failed) => {
      waiting = { expected, done, failed }
      socket.send(send)
    })
  const fail = (why: string): void => waiting?.failed(new Error(`${url}: ${why}, with ${waiting.expected} expected`))
  socket.on('error', ({ message }) => fail(message))
  socket.on('close', () => fail('closed'))
  socket.on('message', (data: Buffer) => {
    const frame = data.toString('latin1')
    if (frame.startsWith('<message')) {
      received++
      const start = frame.indexOf('<body>') + 6
      if (start >= 6) listener.message?.(Buffer.from(frame.slice(start, frame.indexOf('</body>', start)), 'base64'))
    } else if (frame.startsWith('<r ')) socket.send(`<a xmlns="urn:xmpp:sm:3" h="${received}"/>`)
    else if (frame.startsWith('<presence')) received++
    else if (waiting?.expected.test(frame) === true) {
      waiting.done(frame)
      waiting = undefined
    } else if (frame.startsWith('<a ')) acknowledged(frame)
    // The features come after it.
    else if (!frame.startsWith('<open')) fail(frame)
  })
  await new Promise<void>((done, failed) => {
    socket.once('open', done)
    socket.once('error', failed)
  })
  const user = `u${id}`
  await expect(isFeatures, open)
  if (isNew) {
    const fields = `<username>${user}</username><password>${password}</password>`
    await expect(isResult, iq(`<query xmlns="jabber:iq:register">${fields}</query>`))
  }
  const plain = Buffer.from(`\0${user}\0${password}`).toString('base64')
  await expect(/^<success/, `<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">${plain}</auth>`)
  await expect(isFeatures, open)
  await expect(isResult, iq('<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/>'))
  await expect(/^<enabled/, '<enable xmlns="urn:xmpp:sm:3"/>')
  // It is there for others once its presence was handled; what was kept for it may come before the answer.
  socket.send('<presence xmlns="jabber:client"/>')
  sent++
  await expect(/^<a /, '<r xmlns="urn:xmpp:sm:3"/>')
  handled++
  return {
    send(to, body) {
      const text = Buffer.from(body.buffer, body.byteOffset, carriedBytes).toString('base64')
      socket.send(`<message xmlns="jabber:client" type="chat" to="u${to}@${host}"><body>${text}</body></message>`)
      sent++
      if (!isAsking) ask()
    },
    async close() {
      socket.send('<close xmlns="urn:ietf:params:xml:ns:xmpp-framing"/>')
      await closed
    },
  }
}

function iq(content: string): string {
  return `<iq xmlns="jabber:client" type="set" id="1">${content}</iq>`
}
