/**
 * Text of other people on a terminal: control and bidirectional characters are shown escaped, so that nobody can move the
 * cursor, fake a line or turn the reading order around. Colour only on a terminal and not when NO_COLOR is set.
 * @module
 */

// C0 and C1 controls, line and paragraph separators, bidirectional marks, embeddings and isolates, zero-width and tag characters.
const unsafe =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu

/** The text with everything invisible or disorderly made visible, as `\u{…}`. */
export function visible(text: string): string {
  return text.replace(unsafe, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

/** The value as one line of JSON, in which the same characters stand as JSON's own escapes. */
export function jsonLine(value: object): string {
  return JSON.stringify(value).replace(unsafe, (character) => {
    const units = character.split('').map((unit) => unit.charCodeAt(0).toString(16).padStart(4, '0'))
    return units.map((unit) => `\\u${unit}`).join('')
  })
}

export type Paint = (text: string) => string

/** Painters that do nothing where colour is unwanted. */
export function painter(options: { readonly isTerminal: boolean; readonly noColor: string | undefined }): {
  readonly dim: Paint
  readonly bold: Paint
  readonly peer: Paint
} {
  // no-color.org: present and not empty.
  const isPlain = !options.isTerminal || (options.noColor !== undefined && options.noColor !== '')
  const paint =
    (code: number): Paint =>
    (text) =>
      isPlain ? text : `\u001b[${code}m${text}\u001b[0m`
  return { dim: paint(2), bold: paint(1), peer: paint(36) }
}
