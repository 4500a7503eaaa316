/**
 * Whose connection it is when a proxy stands before the server: what the proxy says of it (`X-Forwarded-For`, or `Forwarded` of RFC 7239)
 * is believed only when the connection comes from an address on the list, and only in the one header that the proxy is known to write.
 * @module
 */
import { BlockList, isIP, isIPv6 } from 'node:net'

/** The proxies that are believed. */
export type TrustedProxies = {
  /** Addresses and networks: `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`. */
  readonly networks: readonly string[]
  /** The header that they all write; a client can write the other one. */
  readonly header: 'x-forwarded-for' | 'forwarded'
}

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

export type ClientAddress = {
  /** Tells whether a socket's address is a trusted proxy's. */
  isProxy(address: string): boolean
  /** The address of the client behind a socket. */
  of(address: string, headers: Headers): string
}

/** Binds the list; throws a RangeError that names the entry which is no network. */
export function createClientAddress(proxies: TrustedProxies | undefined): ClientAddress {
  const list = new BlockList()
  for (const text of proxies?.networks ?? []) addNetwork(list, text)
  const isProxy = (address: string): boolean => {
    const plain = plainAddress(address)
    return isIP(plain) !== 0 && list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
  }
  return {
    isProxy,
    of(address, headers) {
      let client = plainAddress(address)
      if (proxies === undefined || !isProxy(client)) return client
      // Each proxy appends whom it saw: from the right, the first that is none of ours is the client. What stands left of it, the
      // client itself may have written.
      for (const hop of hopsOf(headers[proxies.header], proxies.header).reverse()) {
        if (isIP(hop) === 0) break
        client = hop
        if (!isProxy(hop)) break
      }
      return client
    },
  }
}

function addNetwork(list: BlockList, text: string): void {
  const [address = '', bits, ...more] = text.split('/')
  const family = isIP(address)
  const bitsMax = family === 6 ? 128 : 32
  const isGood = family !== 0 && more.length === 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= bitsMax))
  if (!isGood) throw new RangeError(`${JSON.stringify(text)} is not an address or a network such as 10.0.0.0/8`)
  list.addSubnet(address, bits === undefined ? bitsMax : Number(bits), family === 6 ? 'ipv6' : 'ipv4')
}

function hopsOf(value: string | readonly string[] | undefined, header: TrustedProxies['header']): string[] {
  const joined = typeof value === 'string' ? value : (value ?? []).join(',')
  if (joined === '') return []
  if (header === 'x-forwarded-for') return joined.split(',').map(nodeAddress)
  return joined.split(',').map((element) => nodeAddress(/(?:^|;)\s*for=("[^"]*"|[^;\s]*)/i.exec(element)?.[1] ?? ''))
}

// RFC 7239 §6: quoted when it holds a colon, IPv6 in brackets, perhaps a port. X-Forwarded-For comes in the same forms.
function nodeAddress(text: string): string {
  const bare = text.trim().replace(/^"|"$/g, '')
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(bare)?.[1]
  return plainAddress(bracketed ?? (/^[\d.]+:\d+$/.test(bare) ? bare.replace(/:\d+$/, '') : bare))
}

/** An IPv4 address that came over an IPv6 socket, as what it is. */
function plainAddress(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address
}
