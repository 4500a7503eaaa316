/**
 * The content-key commitment `ckc` (design §3.3). GCM does not commit to its key: without this, one ciphertext could
 * be made to open as two different messages for two recipients.
 * @module
 */
import { concat, utf8 } from '@parley/core'
import type { Backend } from './backend/backend.ts'

/** The protected header member that holds it. */
export const commitmentName = 'ckc'

/** SHA-256("parley/ckc/1" ‖ 0x00 ‖ enc ‖ 0x00 ‖ CEK). */
export function commitment(cek: Uint8Array, { enc, backend }: { readonly enc: string; readonly backend: Backend }): Uint8Array {
  return backend.sha256(concat(utf8(`parley/ckc/1\u0000${enc}\u0000`), cek))
}
