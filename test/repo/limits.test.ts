/**
 * docs/limits.md out of the sources: what each limit is comes from its comment, its default from the program itself.
 * `vitest run test/repo/limits -u` writes the page anew.
 * @module
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { agentLimits } from '@parley/agent'
import { limits as coreLimits } from '@parley/core'
import { joseLimits } from '@parley/jose'
import { jwmLimits } from '@parley/jwm'
import { kernelLimits, threadLimits } from '@parley/kernel'
import { mailboxLimits } from '@parley/mailbox'
import { relayLimits } from '@parley/relay'
import { sessionLimits } from '@parley/session'
import { streamLimits } from '@parley/stream'
import { expect, it } from 'vitest'
import { root } from './workspace.ts'

type Limits = { readonly [name: string]: unknown }

const chapters: readonly { readonly title: string; readonly file: string; readonly defaults: Limits }[] = [
  { title: 'Relay', file: 'relay', defaults: relayLimits },
  { title: 'Mailbox of a relay', file: 'mailbox', defaults: mailboxLimits },
  { title: 'Stream: one connection, at both ends', file: 'stream', defaults: streamLimits },
  { title: 'Agent', file: 'agent', defaults: agentLimits },
  { title: 'Session keys', file: 'session', defaults: sessionLimits },
  { title: 'Kernel and threads of protocols', file: 'kernel', defaults: { ...kernelLimits, ...threadLimits } },
  { title: 'Messages', file: 'jwm', defaults: jwmLimits },
  { title: 'JOSE objects', file: 'jose', defaults: joseLimits },
  { title: 'What all agree on', file: 'core', defaults: coreLimits },
]

const head = `# Limits

Everything that grows, waits or is counted has a limit with a name and a default. Names that end in \`Ms\` are milliseconds, in \`Bytes…\` octets; the
others count. A limit can be changed where its package is used (\`limits\` of the options). This page is written from the sources, and a test
compares it.
`

it('docs/limits.md says what the sources say', async () => {
  const page = [head, ...chapters.map(chapter)].join('\n')
  await expect(page).toMatchFileSnapshot(join(root, 'docs/limits.md'))
})

it.each(chapters)('every limit of $file is a number above zero, and says what it is', ({ file, defaults }) => {
  const said = commentsOf(file)
  for (const [name, value] of Object.entries(defaults)) {
    if (typeof value === 'object') continue
    expect(value, name).toBeGreaterThan(0)
    expect(said.get(name), name).toMatch(/\w/)
  }
})

function chapter({ title, file, defaults }: (typeof chapters)[number]): string {
  const said = commentsOf(file)
  const rows = Object.entries(defaults).flatMap(([name, value]) =>
    typeof value === 'number' ? [`| \`${name}\` | ${shown(name, value)} | ${said.get(name) ?? ''} |`] : [],
  )
  return [`## ${title}`, '', '| name | default | what it bounds |', '| --- | ---: | --- |', ...rows, ''].join('\n')
}

/** The comment above each member of a limits type. */
function commentsOf(file: string): ReadonlyMap<string, string> {
  const source = readFileSync(join(root, 'packages', file, 'src/limits.ts'), 'utf8')
  const found = new Map<string, string>()
  for (const [, type = ''] of source.matchAll(/^export type \w+ = \{$([\s\S]*?)^\}$/gm)) {
    let comment = ''
    for (const [, text, name] of type.matchAll(/\/\*\*([\s\S]*?)\*\/|readonly (\w+)\??:/g)) {
      if (name === undefined) comment = (text ?? '').replace(/\s*\n\s*\*?\s*/g, ' ').trim()
      else {
        found.set(name, comment)
        comment = ''
      }
    }
  }
  return found
}

function shown(name: string, value: number): string {
  if (/bytes/i.test(name) && value % 1024 === 0) return value % 1048576 === 0 ? `${value / 1048576} MiB` : `${value / 1024} KiB`
  if (!/Ms/.test(name)) return value.toLocaleString('en').replaceAll(',', ' ')
  for (const [unit, ms] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1000],
  ] as const) {
    if (value % ms === 0) return `${value / ms} ${unit}`
  }
  return `${value} ms`
}
