import { toDomain } from '@parley/core'
import { describe, expect, it } from 'vitest'
import { formatInviteLink, parseInviteLink } from '../src/index.ts'

const domain = toDomain('a.example')
if (domain === undefined) throw new Error('a domain')
const token = 'q'.repeat(24)

describe('an invitation link', () => {
  it.each([
    { domain, token },
    { domain, token, relay: 'wss://relay.a.example:8443/?x=1&y=2' },
  ])('comes back as it was: %o', (link) => {
    expect(parseInviteLink(` ${formatInviteLink(link)}\n`)).toEqual(link)
  })

  it.each([
    '',
    token,
    `im:a.example?invite=${token}`,
    `parley:a b?invite=${token}`,
    'parley:a.example',
    'parley:a.example?invite=short',
    `parley:a.example?invite=${token}&relay=http%3A%2F%2Fx`,
    `parley:a.example?invite=${token}&relay=%zz`,
    `parley:a.example?invite=${token}?`,
  ])('is refused when it is %j', (text) => {
    expect(() => parseInviteLink(text)).toThrow(expect.objectContaining({ code: 'ERR_IDENTITY_LINK_MALFORMED' }))
  })
})
