/**
 * Guarded GET requests on Node: no redirects, bounded in size and time, the host name resolved once and every address
 * put to the caller before a connection is made (against server-side request forgery).
 * @module
 */
import { request as requestPlain } from 'node:http'
import { request as requestTls } from 'node:https'
import { CoreError, type Transport } from '@parley/core'
import { guardedLookup, literalAddress } from './lookup.ts'

export const requestHttp: Transport['request'] = (url, options) => {
  const target = new URL(url)
  if (target.protocol !== 'https:' && target.protocol !== 'http:') throw new TypeError('url: not http or https')
  const literal = literalAddress(target)
  if (literal !== undefined && !options.allowAddress(literal)) return Promise.reject(failure('the address is not allowed', false))
  const start = target.protocol === 'https:' ? requestTls : requestPlain
  return new Promise((answered, failed) => {
    const request = start(
      target,
      {
        method: 'GET',
        agent: false,
        lookup: guardedLookup(options.allowAddress),
        signal: AbortSignal.timeout(options.timeoutMs),
      },
      (response) => {
        const parts: Buffer[] = []
        let length = 0
        response.on('data', (part: Buffer) => {
          length += part.length
          if (length > options.bytesMax) {
            failed(failure('the answer is too large', false))
            request.destroy()
          } else parts.push(part)
        })
        response.on('end', () => answered({ status: response.statusCode ?? 0, body: new Uint8Array(Buffer.concat(parts)) }))
        response.on('error', (cause) => failed(failure('the answer broke off', true, cause)))
      },
    )
    request.on('error', (cause) => failed(failure('the peer cannot be reached', true, cause)))
    request.end()
  })
}

function failure(message: string, retryable: boolean, cause?: unknown): CoreError {
  return new CoreError('ERR_CORE_REQUEST_FAILED', message, { retryable, ...(cause === undefined ? {} : { cause }) })
}
