import { beforeEach, expect, it } from 'vitest'
import { type Account, createAccountCalls } from '../src/account.ts'
import { knows, type Person, person, send } from './people.ts'

let alice: Person
let account: Account
let asked: string[]

beforeEach(async () => {
  alice = await person('alice@a.test')
  asked = []
  account = createAccountCalls({
    ...alice,
    commit: async (step) => alice.run(step),
    async request(what, value) {
      asked.push(`${what} ${value['from']}`)
      return {}
    },
    isRemoved: () => false,
  })
})

it.each([
  ['im:Bob@B.test', 'bob@b.test'],
  ['b.test', 'b.test'],
])('renews the session key of whom the relay blocks: %s', async (from, name) => {
  const [bob, carol] = [await person('bob@b.test'), await person('carol@c.test')]
  for (const one of [bob, carol]) {
    knows(alice, [one])
    send(alice, { to: one.address, type: 'urn:parley:chat:1:text', body: { text: 'before' } })
  }
  const sid = (of: Person): string | undefined => alice.state.get('own', of.address)?.smk.sid
  const before = [sid(bob), sid(carol)]
  await account.block(from)
  expect(asked).toEqual([`block ${name}`])
  for (const one of [bob, carol]) send(alice, { to: one.address, type: 'urn:parley:chat:1:text', body: { text: 'after' } })
  expect([sid(bob) === before[0], sid(carol) === before[1]]).toEqual([false, true])
})
