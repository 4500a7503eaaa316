/**
 * The code blocks of the pages, as files that compile: one folder inside test/, where every package of ours resolves.
 * @module
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { filesBelow, read, root, workspaceFolders } from './workspace.ts'

export type Block = { readonly page: string; readonly index: number; readonly code: string }

/** Every page of the repository. */
export const pages: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...[...workspaceFolders, 'docs'].flatMap(filesBelow).filter((file) => file.endsWith('.md')),
]

/** The blocks of a page that are marked with this language. */
export function blocksOf(page: string, language: string): readonly Block[] {
  const found = read(page).matchAll(/^```(\w+)[^\n]*\n([\s\S]*?)^```$/gm)
  return [...found].filter(([, marked]) => marked === language).map(([, , code = ''], index) => ({ page, index, code }))
}

/** The SDK example of the README. */
export function sdkExample(): string {
  const [block] = blocksOf('README.md', 'ts')
  if (block === undefined) throw new Error('README.md has no example')
  return block.code
}

/** Runs `use` with a folder that holds these files and is gone afterwards. */
export async function withFolder<T>(files: Readonly<Record<string, string>>, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(root, 'test/.examples-'))
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(folder, name, '..'), { recursive: true })
      writeFileSync(join(folder, name), text)
    }
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
