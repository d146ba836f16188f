/**
 * What an error of a Redis client says about the command that met it. 'unavailable' and 'full' are certain to have had
 * no effect; of anything else it is not known. Redis makes a script fail for these reasons before its first write only.
 */
export type Failure = 'unavailable' | 'full' | 'no script' | 'unknown'

/** Replies that refuse a command before it has any effect, and become well by themselves or by an operator. */
const REFUSALS =
  /(^|-)(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|NOREPLICAS|MISCONF|BUSY|NOAUTH|WRONGPASS|TRYAGAIN)\b/
/** Of clients that did not send. */
const NOT_SENT =
  /^(The client is (closed|offline)|Stream isn't writeable and enableOfflineQueue options is false)/

export function failureOf(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error)
  if (/^NOSCRIPT\b/.test(message)) return 'no script'
  if (/(^|-)OOM\b/.test(message)) return 'full'
  if (REFUSALS.test(message) || NOT_SENT.test(message)) return 'unavailable'
  return 'unknown'
}
