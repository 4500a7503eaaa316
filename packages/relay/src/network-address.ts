/**
 * Network addresses: which ones lie in the public internet, so that nobody can make a relay knock at doors behind its own
 * firewall (server-side request forgery), and which ones count as one customer.
 * @module
 */

/** First octets and how many bits of them count: the special-purpose IPv4 ranges (RFC 6890 and the IANA registry), and multicast. */
const specialIpv4: readonly (readonly [address: string, bits: number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
]

/** Whether an address, as text, is an ordinary one of the public internet. What cannot be read is not. */
export function isPublicAddress(text: string): boolean {
  const ipv4 = readIpv4(text)
  if (ipv4 !== undefined) return isPublicIpv4(ipv4)
  const groups = readIpv6(text)
  if (groups === undefined) return false
  const [a = 0, b = 0] = groups
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff)
    return isPublicIpv4(((groups[6] ?? 0) * 0x1_0000 + (groups[7] ?? 0)) >>> 0)
  // Global unicast is 2000::/3; of that, 2001::/23 is for protocols, 2001:db8::/32 and 3fff::/20 for documents, and 2002::/16
  // (6to4) leads to an IPv4 address of the sender's choice.
  if (a < 0x2000 || a > 0x3fff || a === 0x2002) return false
  if (a === 0x2001 && (b < 0x0200 || b === 0x0db8)) return false
  return !(a === 0x3fff && b < 0x1000)
}

/** The network that an address counts for in limits: itself, or its /64 (RFC 6177). */
export function networkOf(text: string): string {
  const groups = readIpv6(text)
  if (groups === undefined) return text
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    const [high = 0, low = 0] = groups.slice(6)
    return [high >> 8, high & 255, low >> 8, low & 255].join('.')
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`
}

function isPublicIpv4(address: number): boolean {
  return specialIpv4.every(([prefix, bits]) => {
    const shift = 32 - bits
    return address >>> shift !== (readIpv4(prefix) ?? 0) >>> shift
  })
}

function readIpv4(text: string): number | undefined {
  if (!/^\d{1,3}(?:\.\d{1,3}){3}$/.test(text)) return undefined
  const octets = text.split('.').map(Number)
  return octets.every((octet) => octet <= 255) ? octets.reduce((sum, octet) => sum * 256 + octet, 0) : undefined
}

/** The eight groups of an IPv6 address, a zone left out. */
function readIpv6(text: string): readonly number[] | undefined {
  const [address = ''] = text.split('%')
  if (!address.includes(':')) return undefined
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address)
  const ipv4 = dotted === null ? undefined : readIpv4(dotted[2] ?? '')
  if (dotted !== null && ipv4 === undefined) return undefined
  const plain =
    dotted === null || ipv4 === undefined ? address : `${dotted[1]}${(ipv4 >>> 16).toString(16)}:${(ipv4 & 0xffff).toString(16)}`
  const halves = plain.split('::')
  if (halves.length > 2) return undefined
  const [before = [], behind = []] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const zeros = 8 - before.length - behind.length
  if (halves.length === 1 ? zeros !== 0 : zeros < 1) return undefined
  const groups = [...before, ...Array.from({ length: zeros }, () => '0'), ...behind]
  return groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group)) ? groups.map((group) => Number.parseInt(group, 16)) : undefined
}
