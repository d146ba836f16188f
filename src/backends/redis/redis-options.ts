import { invalid, shown } from '../../errors'
import { isWellFormed } from '../../placement/key'

const LONGEST_PREFIX = 256

/** What the keys of Foreshard's own records begin with. */
export function checkPrefix(prefix: unknown): void {
  if (typeof prefix !== 'string' || prefix === '' || prefix.length > LONGEST_PREFIX || !isWellFormed(prefix))
    throw invalid(
      'options.prefix',
      `must be a non-empty string of at most ${LONGEST_PREFIX} characters, not ${shown(prefix)}`,
    )
}

export function checkFlag(value: unknown, field: string): void {
  if (typeof value !== 'boolean') throw invalid(field, `must be true or false, not ${shown(value)}`)
}
