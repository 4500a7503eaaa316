// `pnpm statecharts`: draws the machines of every protocol into its spec page, in the order of its roles. A test fails when one is stale.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { stateDiagram } from '../packages/kernel/dist/index.js'

const root = new URL('../protocols/', import.meta.url)
const manifest = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'))

for (const [subpath, { default: built }] of Object.entries(manifest.exports)) {
  const page = fileURLToPath(new URL(`${subpath}/README.md`, root))
  const [protocol] = Object.values(await import(new URL(built, root).href)).filter((value) => value.roles !== undefined)
  const drawn = Object.values(protocol.roles).map(({ machine }) => stateDiagram(machine))
  const before = readFileSync(page, 'utf8')
  const text = before.replace(/^```mermaid\n[\s\S]*?^```$/gm, () => `\`\`\`mermaid\n${drawn.shift()}\n\`\`\``)
  if (drawn.length > 0) throw new Error(`${page}: a role has no diagram`)
  if (text === before) continue
  writeFileSync(page, text)
  process.stdout.write(`drawn: protocols/${subpath.slice(2)}/README.md\n`)
}
