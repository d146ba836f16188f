/** Parameters travel as text, so that both drivers send the same: arrays as Postgres spells them. */

export function numbers(values: readonly (number | undefined)[]): string {
  let text = '{'
  for (let i = 0; i < values.length; i++) text += `${i ? ',' : ''}${values[i] ?? 'NULL'}`
  return `${text}}`
}

export function bytesOf(value: Uint8Array): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}

export function hexOf(text: string): string {
  return Buffer.from(text).toString('hex')
}

/** The text whose UTF-8 it is. */
export function textOf(hex: string): string {
  return Buffer.from(hex, 'hex').toString()
}

/** A bytea[] of texts. */
export function texts(values: readonly string[]): string {
  let text = '{'
  for (let i = 0; i < values.length; i++) text += `${i ? ',' : ''}"\\\\x${hexOf(values[i]!)}"`
  return `${text}}`
}

/** A bytea[]; undefined is NULL. */
export function binaries(values: readonly (Uint8Array | undefined)[]): string {
  const parts = values.map((it) => (it === undefined ? 'NULL' : `"\\\\x${bytesOf(it).toString('hex')}"`))
  return `{${parts.join(',')}}`
}

/** A text[] of what holds no U+0000, as JSON does not. */
export function literals(values: readonly string[]): string {
  return `{${values.map((it) => `"${it.replace(/[\\"]/g, '\\$&')}"`).join(',')}}`
}
