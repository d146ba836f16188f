import { ErrorCode, ForeshardError, shown } from '../errors'

/** Keys that begin with it are Foreshard's own, unless a router or store is told another prefix. */
export const OWN_PREFIX = '~foreshard'

/** What keys a layout accepts: the strictest of its stores decides, or a key could not move between them. */
export interface KeyRules {
  /** UTF-8 bytes. */
  maxBytes: number
  /** Whether U+0000 may occur. */
  nul: boolean
  /** Keys that start with one of them belong to Foreshard's own records. */
  reserved?: readonly string[]
}

/** Refuses a key that some store could not keep, or that two stores would spell differently. */
export function checkKey(key: unknown, rules: KeyRules, field = 'key'): asserts key is string {
  if (typeof key !== 'string') throw badKey(field, `is ${shown(key)}; a key is a string`)
  if (key.length === 0) throw badKey(field, 'is empty; a key has at least one character')
  // A UTF-16 unit is at most 3 bytes: count exactly only where it can matter.
  if (key.length * 3 > rules.maxBytes) {
    const bytes = key.length > rules.maxBytes ? key.length : Buffer.byteLength(key)
    if (bytes > rules.maxBytes)
      throw badKey(
        field,
        `is over ${rules.maxBytes} bytes of UTF-8, the limit of these stores; hash or shorten it`,
      )
  }
  if (!isWellFormed(key))
    throw badKey(
      field,
      'holds an unpaired surrogate, which no store can spell; encode binary keys as hex or base64',
    )
  if (!rules.nul && key.includes('\0'))
    throw badKey(field, 'holds U+0000, which one of these stores cannot keep')
  if (rules.reserved)
    for (const prefix of rules.reserved)
      if (key.startsWith(prefix))
        throw badKey(field, `starts with ${shown(prefix)}, which is reserved; choose another name`)
}

/** Whether every surrogate is paired (String.prototype.isWellFormed is not in Node 20's types). */
export function isWellFormed(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0xd800 || code > 0xdfff) continue
    const next = text.charCodeAt(i + 1)
    if (code > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return false
    i++
  }
  return true
}

function badKey(field: string, message: string): ForeshardError {
  return new ForeshardError(ErrorCode.INVALID_KEY, `${field} ${message}`, { field })
}
