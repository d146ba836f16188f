/**
 * Number arrays as text: '<type>:<length>:<base64>', little-endian. Mostly empty ones as pairs of index and value: the type in upper
 * case. Text, so that a snapshot is JSON.
 */
type Numbers = Float32Array | Float64Array | Int32Array | Int16Array | Uint8Array

const KINDS = {
  f: Float32Array,
  d: Float64Array,
  i: Int32Array,
  s: Int16Array,
  b: Uint8Array,
} as const

type Kind = keyof typeof KINDS
/** What a packed text may begin with. */
export const KINDS_OF_NUMBERS: readonly string[] = Object.keys(KINDS).flatMap((kind) => [
  kind,
  kind.toUpperCase(),
])

export function pack(numbers: Numbers): string {
  const kind = (Object.keys(KINDS) as Kind[]).find((name) => numbers instanceof KINDS[name])!
  const at: number[] = []
  for (let k = 0; k < numbers.length && at.length * 3 <= numbers.length; k++) if (numbers[k] !== 0) at.push(k)
  if (at.length * 3 > numbers.length) return `${kind}:${numbers.length}:${base64(numbers)}`
  const values: Numbers = new KINDS[kind](at.map((k) => numbers[k]!))
  return `${kind.toUpperCase()}:${numbers.length}:${base64(Int32Array.from(at))}:${base64(values)}`
}

/** The array, or undefined for text that is none, or longer than `longest`. */
export function unpack<K extends Kind>(
  text: unknown,
  kind: K,
  longest: number,
): InstanceType<(typeof KINDS)[K]> | undefined {
  if (typeof text !== 'string') return undefined
  const [name, count, first, second] = text.split(':')
  const length = Number(count)
  if (name?.toLowerCase() !== kind || !Number.isInteger(length) || length < 0 || length > longest)
    return undefined
  const type: (typeof KINDS)[Kind] = KINDS[kind]
  const dense = name === kind
  const bytes = bytesOf(first)
  if (dense) {
    if (bytes.length !== length * type.BYTES_PER_ELEMENT) return undefined
    return view(bytes, type as typeof Float32Array) as InstanceType<(typeof KINDS)[K]>
  }
  const values = bytesOf(second)
  if (bytes.length % 4 !== 0 || values.length !== (bytes.length / 4) * type.BYTES_PER_ELEMENT)
    return undefined
  const numbers = new type(length)
  const value = view(values, type as typeof Float32Array)
  let inside = true
  const places = view(bytes, Int32Array)
  for (let k = 0; k < places.length; k++) {
    const at = places[k]!
    if (at < 0 || at >= length) inside = false
    else numbers[at] = value[k]!
  }
  return inside ? (numbers as InstanceType<(typeof KINDS)[K]>) : undefined
}

function base64(numbers: Numbers): string {
  return Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength).toString('base64')
}

function bytesOf(text: string | undefined): Uint8Array {
  return Uint8Array.from(Buffer.from(text ?? '', 'base64'))
}

function view(bytes: Uint8Array, type: new (buffer: ArrayBufferLike) => Numbers): Numbers {
  return new type(bytes.buffer)
}
