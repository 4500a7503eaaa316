/**
 * The subprotocols of this version (RFC 6455 §1.9). A later version takes another name; both may be offered on one port.
 * @module
 */

export const c2sProtocol: string = 'parley.c2s.1'
export const s2sProtocol: string = 'parley.s2s.1'
