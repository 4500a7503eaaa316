/**
 * The noble backend for direct use: `importKey(jwk, { backend: noble })`. A key carries its backend with it.
 * @module
 */
export { backend as noble } from './backend/noble.ts'
