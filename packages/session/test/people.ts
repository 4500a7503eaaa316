/**
 * The people of the session tests: alice with a phone and a laptop, bob with two devices, mallory.
 * @module
 */
import { type Address, base64url, type DeviceId, parseAddress, toDeviceId } from '@parley/core'
import { createSimRandom, type SimRandom } from '@parley/core/sim'
import { generateKey, type Jwk, publicJwk } from '@parley/jose'
import { type AudienceDevice, type AudienceMember, createSmk, type Owner, type Smk } from '../src/index.ts'

export const random: SimRandom = createSimRandom('session')
export const now = 1_800_000_000_500
export const day = 86_400_000

export const newThumbprint = (): string => base64url(random.bytes(32))
export const newDevice = (): DeviceId => toDeviceId(newThumbprint()) as DeviceId
export const newEph = (): Jwk => generateKey('X25519', { random })

export type Person = { readonly address: Address; readonly account: string; readonly devices: readonly [DeviceId, DeviceId] }
const person = (address: string): Person => ({
  address: parseAddress(address),
  account: newThumbprint(),
  devices: [newDevice(), newDevice()],
})

export const alice = person('alice@a.example')
export const bob = person('bob@b.example')
export const mallory = person('mallory@m.example')

export const owner: Owner = { address: alice.address, device: alice.devices[0] }
export const member = ({ address, account }: Person): AudienceMember => ({ address, account, version: 1 })
export const audience: readonly AudienceMember[] = [member(alice), member(bob)]

export const device = (of: Person, index: 0 | 1, agreement = true): AudienceDevice => ({
  address: of.address,
  id: of.devices[index],
  ...(agreement ? { agreement: publicJwk(newEph()) } : {}),
})

export const smk = (changes: Partial<Parameters<typeof createSmk>[0]> = {}): Smk =>
  createSmk({ owner, audience, now, random, ...changes })
