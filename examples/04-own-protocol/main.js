// Runs shop and customer in processes of their own and kills them (SIGKILL) where it hurts. Every order goes on, or ends in time.
// node examples/04-own-protocol/main.js RELAY_URL FOLDER
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const [relay = 'ws://127.0.0.1:4001', folder = '.'] = process.argv.slice(2)

// The shop opens once, so that it has an address, and is away when the customer asks.
let shop = start('shop')
const link = (await shop.says('link')).slice('link '.length)
await shop.kill()

let customer = start('customer', link, 'lamps', '2', '60000')
await customer.says('asks')
await customer.kill()
customer = start('customer')
await customer.says('goes on')

shop = start('shop')
await shop.says('offers')
await shop.kill()
shop = start('shop')
await customer.says('takes')
await shop.says('sells')
await customer.says('ends')

// The shop has no boat and does not say so. The deadline is kept, whoever is alive when it comes.
customer = start('customer', link, 'boat', '1', '1500')
await customer.says('asks')
await customer.kill()
customer = start('customer')
await customer.says('goes on')
await customer.says('ends')
await shop.kill()

function start(name, ...args) {
  const program = fileURLToPath(new URL(`${name}.js`, import.meta.url))
  const child = spawn(process.execPath, [program, relay, folder, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    /** Prints and answers its next line of this kind. */
    async says(kind) {
      for (;;) {
        const { value: line, done } = await lines.next()
        if (done) throw new Error(`the ${name} ended before it said: ${kind}`)
        if (!line.startsWith(kind)) continue
        if (kind !== 'link') console.log(`the ${name} ${line}`)
        return line
      }
    },
    async kill() {
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
      console.log(`the ${name} is killed`)
    },
  }
}
