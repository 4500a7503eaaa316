/**
 * Sockets that are no WebSocket, or not yet: nobody has said anything on them that a relay could count. How many of them one network may
 * have open is bounded here, so that half-open ones take no more than a place for a moment.
 * @module
 */
import type { Socket } from 'node:net'

/** How many such sockets one network may have open. */
export type WaitingLimits = {
  readonly perNetworkMax: number
  /** The network that an address counts for. */
  networkOf(address: string): string
  /** One was ended because its network has enough of them. */
  onRefused?(): void
}

export type WaitingRoom = {
  /** Takes a socket that was just accepted, or ends it. */
  enter(socket: Socket): void
  /** It is a WebSocket now: others count it. */
  leave(socket: Socket): void
  /** Ends all of them, those too with which the TLS handshake has not ended: the server knows nothing of them yet. */
  close(): void
}

/** Without limits it only knows who is there. */
export function createWaitingRoom(limits: WaitingLimits | undefined, isProxy: (address: string) => boolean): WaitingRoom {
  // By the sockets' own names, because of a TLS socket only the name is that of the socket below it.
  const inside = new Map<string, { readonly socket: Socket; readonly network: string | undefined }>()
  const counts = new Map<string, number>()

  function leave(socket: Socket): void {
    const name = nameOf(socket)
    const network = inside.get(name)?.network
    inside.delete(name)
    if (network === undefined) return
    const left = (counts.get(network) ?? 1) - 1
    if (left > 0) counts.set(network, left)
    else counts.delete(network)
  }

  // One function for all sockets, which may stay open for long.
  function onClose(this: Socket): void {
    leave(this)
  }

  return {
    enter(socket) {
      const { remoteAddress: address } = socket
      // It has gone already.
      if (address === undefined) return
      // All of a proxy's clients come from there; each is counted as soon as it is known.
      const network = isProxy(address) ? undefined : limits?.networkOf(address)
      if (limits !== undefined && network !== undefined) {
        const count = counts.get(network) ?? 0
        if (count >= limits.perNetworkMax) {
          limits.onRefused?.()
          socket.destroy()
          return
        }
        counts.set(network, count + 1)
      }
      inside.set(nameOf(socket), { socket, network })
      socket.on('close', onClose)
    },
    leave(socket) {
      socket.off('close', onClose)
      leave(socket)
    },
    close() {
      for (const { socket } of [...inside.values()]) socket.destroy()
    },
  }
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
