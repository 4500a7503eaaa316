/**
 * The certificate of a relay, read and looked at before anything is done with it.
 * @module
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { TlsCredentials } from '@parley/platform/server'
import { ProgramError } from './program-error.ts'

export type ReadTls = {
  readonly credentials: TlsCredentials
  /** When it ends; milliseconds since 1970. */
  readonly expiry: number
  /** The names it is good for. */
  readonly names: string
}

/** Reads both files; throws a ProgramError when they are not there, not PEM, or do not belong together. */
export function readTls(files: { readonly cert: string; readonly key: string }): ReadTls {
  const cert = readText(files.cert, 'tlsCert')
  const key = readText(files.key, 'tlsKey')
  const certificate = attempt(() => new X509Certificate(cert), `tlsCert: ${files.cert} holds no certificate`)
  const privateKey = attempt(() => createPrivateKey(key), `tlsKey: ${files.key} holds no private key`)
  if (!certificate.checkPrivateKey(privateKey))
    throw new ProgramError('usage', `tlsKey: ${files.key} is not the key of ${files.cert}`)
  return {
    credentials: { cert, key },
    expiry: Date.parse(certificate.validTo),
    names: certificate.subjectAltName ?? certificate.subject,
  }
}

function readText(file: string, name: string): string {
  return attempt(() => readFileSync(file, 'utf8'), `${name}: ${file} cannot be read`)
}

function attempt<T>(work: () => T, problem: string): T {
  try {
    return work()
  } catch {
    throw new ProgramError('usage', problem)
  }
}
