// How the scripted conversation looks: headings, who says what, a table for the four views of one message.
const isPlain = !process.stdout.isTTY || (process.env.NO_COLOR ?? '') !== ''
const paint = (code) => (text) => (isPlain ? text : `\u001b[${code}m${text}\u001b[0m`)
export const bold = paint(1)
export const dim = paint(2)
const colours = { alice: paint(35), bob: paint(36), relay: paint(33) }

export const say = (line = '') => process.stdout.write(`${line}\n`)

export function heading(letter, text) {
  say()
  say(bold(`(${letter}) ${text}`))
}

/** A line of the play: who, and what was observed. */
export function act(who, text) {
  const [name] = who.split(' ')
  say(`  ${(colours[name] ?? dim)(who.padEnd(13))} ${text}`)
}

/** Name and text in two columns, the text broken to fit. */
export function table(rows) {
  const width = Math.max(...rows.map(([name]) => name.length))
  for (const [name, text] of rows) {
    for (const [i, line] of wrap(text, 96 - width).entries()) say(`  ${bold((i === 0 ? name : '').padEnd(width))}  ${line}`)
  }
}

function wrap(text, width) {
  const lines = []
  for (let rest = text; rest !== ''; rest = rest.slice(width)) lines.push(rest.slice(0, width))
  return lines.length === 0 ? [''] : lines
}
