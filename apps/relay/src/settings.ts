/**
 * Every setting of `parley-relay` once: its name in the configuration file, its flag, its variable, and whether SIGHUP changes it.
 * Flags, environment, help and the README's table come from here.
 * @module
 */

export type Setting = {
  /** In the configuration file. */
  readonly name: string
  /** As commander reads it; without one there is neither flag nor variable. */
  readonly flag?: string
  readonly kind: 'text' | 'number' | 'list' | 'switch' | 'table'
  readonly what: string
  readonly choices?: readonly string[]
  /** A running relay takes a new value on SIGHUP. */
  readonly reloads: boolean
}

/** In the order in which they are shown. */
export const settings: readonly Setting[] = [
  {
    name: 'domain',
    flag: '--domain <domain>',
    kind: 'text',
    what: 'the domain it answers for, such as a.localhost',
    reloads: false,
  },
  { name: 'data', flag: '--data <folder>', kind: 'text', what: 'the folder it keeps everything in', reloads: false },
  { name: 'host', flag: '--host <host>', kind: 'text', what: 'the address it listens on (default 127.0.0.1)', reloads: false },
  {
    name: 'port',
    flag: '--port <port>',
    kind: 'number',
    what: 'the port it listens on; 0 takes a free one (default 0)',
    reloads: false,
  },
  {
    name: 'routes',
    flag: '--route <domain=url>',
    kind: 'list',
    what: 'where another domain’s relay is: b.localhost=ws://127.0.0.1:4002[,key=THUMBPRINT]; repeatable',
    reloads: true,
  },
  {
    name: 'discovery',
    flag: '--discovery <whether>',
    kind: 'text',
    what: 'finds other domains by https://DOMAIN/.well-known/parley (default off on loopback, else on)',
    choices: ['on', 'off'],
    reloads: true,
  },
  {
    name: 'allowDomains',
    flag: '--allow-domain <domain>',
    kind: 'list',
    what: 'federates with this domain, those with a route, and no others; repeatable',
    reloads: true,
  },
  {
    name: 'denyDomains',
    flag: '--deny-domain <domain>',
    kind: 'list',
    what: 'never federates with this domain; repeatable',
    reloads: true,
  },
  {
    name: 'publicUrl',
    flag: '--public-url <url>',
    kind: 'text',
    what: 'where others reach it, for invitations and discovery (default wss://DOMAIN)',
    reloads: false,
  },
  {
    name: 'publicCards',
    flag: '--public-cards',
    kind: 'switch',
    what: 'shows the cards of its accounts to whoever asks over HTTP',
    reloads: false,
  },
  {
    name: 'registration',
    flag: '--registration <who>',
    kind: 'text',
    what: 'who may open accounts (default open on loopback, else closed)',
    choices: ['open', 'invite', 'closed'],
    reloads: true,
  },
  {
    name: 'tlsCert',
    flag: '--tls-cert <file>',
    kind: 'text',
    what: 'the certificate chain (PEM); SIGHUP reads it again',
    reloads: true,
  },
  { name: 'tlsKey', flag: '--tls-key <file>', kind: 'text', what: 'its private key (PEM)', reloads: true },
  {
    name: 'trustedProxies',
    flag: '--trusted-proxy <network>',
    kind: 'list',
    what: 'a proxy that is believed about its clients’ addresses: 10.0.0.7 or 10.0.0.0/8; repeatable',
    reloads: false,
  },
  {
    name: 'proxyHeader',
    flag: '--proxy-header <name>',
    kind: 'text',
    what: 'the header that those proxies write (default x-forwarded-for)',
    choices: ['x-forwarded-for', 'forwarded'],
    reloads: false,
  },
  {
    name: 'unsafePlainListen',
    flag: '--unsafe-plain-listen',
    kind: 'switch',
    what: 'lets other machines reach it without TLS and without a proxy',
    reloads: false,
  },
  {
    name: 'adminListen',
    flag: '--admin-listen <address>',
    kind: 'text',
    what: 'serves /metrics there: 127.0.0.1:9464 (default off)',
    reloads: false,
  },
  {
    name: 'logLevel',
    flag: '--log-level <level>',
    kind: 'text',
    what: 'of the log on standard error (default info)',
    choices: ['debug', 'info', 'warn', 'error', 'silent'],
    reloads: true,
  },
  {
    name: 'logAddresses',
    flag: '--log-addresses',
    kind: 'switch',
    what: 'logs addresses as they are, not hashed',
    reloads: true,
  },
  {
    name: 'diskFreeBytesMin',
    flag: '--disk-free-bytes-min <octets>',
    kind: 'number',
    what: 'below so much room on its disk it takes nothing new (default 64 MiB)',
    reloads: true,
  },
  {
    name: 'traceWire',
    flag: '--trace-wire <file>',
    kind: 'text',
    what: 'for development: appends every frame’s header and first octets as JSON lines',
    reloads: false,
  },
  {
    name: 'traceOctets',
    flag: '--trace-octets <count>',
    kind: 'number',
    what: 'octets of each payload in the trace; 0 for all (default 48)',
    reloads: false,
  },
  {
    name: 'limits',
    kind: 'table',
    what: 'limits by their names in docs/limits.md; those of stream, mailbox and store wait for a restart',
    reloads: true,
  },
]

/** The variable of a setting: PARLEY_RELAY_LOG_LEVEL for `logLevel`. */
export function variableOf({ name, flag }: Setting): string | undefined {
  return flag === undefined ? undefined : `PARLEY_RELAY_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}
