/**
 * A spec page read by its test: JSON examples and state diagrams.
 * @module
 */
import { readFileSync } from 'node:fs'

export type SpecPage = {
  readonly text: string
  readonly examples: readonly { readonly type: string; readonly body: { readonly [name: string]: never } }[]
  readonly diagrams: readonly string[]
}

export function readSpecPage(folder: string): SpecPage {
  const text = readFileSync(new URL(`../${folder}/README.md`, import.meta.url), 'utf8')
  const blocks = (language: string): readonly string[] =>
    [...text.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)\n\`\`\`$`, 'gm'))].map(([, block = '']) => block)
  return { text, examples: blocks('json').map((block) => JSON.parse(block)), diagrams: blocks('mermaid') }
}
