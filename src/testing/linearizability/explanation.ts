import type { HistoryOperation } from './operation'
import { type SearchResult, search } from './search'
import { ABSENT, relaxed, type State, type Step } from './step'

/** So many operations of a window, and of the order that explains part of it, are told; the last ones. */
const TOLD = 16

export interface Explanation {
  reason: string
  story: string
  history: HistoryOperation[]
}

/** Why the steps of a key, of which `stuck` cannot be explained, are not linearizable. */
export function explain(
  key: string,
  steps: readonly Step[],
  initial: State,
  stuck: Step,
  maxStates: number,
): Explanation {
  const window = failingWindow(steps, initial, stuck, maxStates)
  const found = search(window, initial, maxStates, true)
  const unexplained = found.stuck ?? stuck
  const [states, told] = [[...found.holds].map(show), nameOf(unexplained)]
  const reason =
    found.verdict === 'violation'
      ? `${told}, but in every order of the others the key ${states.length === 1 ? 'is' : 'is one of'} ${states.join(', ')} then`
      : `${told}, which no order of the operations explains`
  return {
    reason,
    story: storyOf(key, window, initial, unexplained, found),
    history: window.map((step) => step.operation),
  }
}

/**
 * A part of the history that is not linearizable by itself, and not only because something was left out: every step is
 * first given up as far as a step can be without new contradictions (a certain write becomes a possible one, an observer
 * goes), if the rest still contradicts itself, in large blocks and then in smaller ones (delta debugging, Zeller 1999).
 * Of the writes that were given up those are kept whose value somebody saw, for the reader.
 */
function failingWindow(steps: readonly Step[], initial: State, stuck: Step, maxStates: number): Step[] {
  const until = stuck.operation.returnedAt!
  let budget = maxStates
  const asGiven = new Map<HistoryOperation, Step>(steps.map((step) => [step.operation, step]))
  // What returned later than `stuck` was not needed to get stuck there.
  let window = steps
    .filter((step) => step.operation.invokedAt <= until)
    .flatMap((step) => (step.certain && step.operation.returnedAt! > until ? (relaxed(step) ?? []) : [step]))
    .sort((a, b) => a.operation.invokedAt - b.operation.invokedAt)
  const giveUp = (weaken: (step: Step) => Step | undefined): void => {
    for (let size = Math.ceil(window.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let from = 0; from < window.length; ) {
        const block = window.slice(from, from + size)
        const weaker = block.flatMap((step) => weaken(step) ?? [])
        const rest = [...window.slice(0, from), ...weaker, ...window.slice(from + size)]
        from += size
        if (budget <= 0 || block.every((step, i) => step === weaker[i])) continue
        const { verdict, states } = search(rest, initial, budget)
        budget -= states
        if (verdict !== 'violation') continue
        window = rest
        from -= block.length - weaker.length
      }
    }
  }
  // Observers first: a write says more to the reader than that its value was seen.
  giveUp((step) => (step.to === undefined ? undefined : step))
  giveUp(relaxed)
  const seen = new Set(window.flatMap((step) => (step.certain && step.test !== 'any' ? [step.value] : [])))
  return window
    .filter((step) => step.certain || (step.to !== ABSENT && seen.has(step.to!)))
    .map((step) => asGiven.get(step.operation)!)
}

function storyOf(key: string, window: Step[], initial: State, stuck: Step, found: SearchResult): string {
  const lines = window.slice(-TOLD).map((step) => {
    const { invokedAt, returnedAt } = step.operation
    const mark = step === stuck ? '   <- cannot be explained' : ''
    return `  ${invokedAt}..${step.certain ? returnedAt : ''}  ${nameOf(step)}${mark}`
  })
  if (window.length > TOLD) lines.unshift(`  (${window.length - TOLD} earlier operations)`)
  const { prefix } = found
  const order = prefix.slice(-TOLD).map(nameOf)
  if (prefix.length > TOLD) order.unshift(`(${prefix.length - TOLD} others)`)
  return [
    `Key ${JSON.stringify(key)}, at first ${show(initial)}:`,
    ...lines,
    `Longest order that can be: ${order.length === 0 ? 'none' : order.join('; ')}.`,
    `After it ${nameOf(stuck)} does not fit; the key could then only be ${[...found.holds].map(show).join(' or ')}.`,
  ].join('\n')
}

function nameOf({ operation, test, value, to, certain }: Step): string {
  const who = `${operation.process}:`
  const ending = certain ? '' : ' (outcome unknown)'
  switch (operation.kind) {
    case 'get':
      return `${who} get read ${show(value)}`
    case 'has':
      return `${who} has said ${operation.output === true}`
    case 'set':
      return `${who} set ${show(to!)}${ending}`
    case 'delete':
      if (test === 'any') return `${who} delete${ending}`
      return `${who} delete found ${test === 'is' ? 'nothing' : 'a value'}${ending}`
    case 'cas': {
      const applied = certain ? (operation.output ? ' was applied' : ' was refused') : ending
      return `${who} cas from ${show(value)}${applied}`
    }
  }
}

function show(state: State): string {
  if (state === ABSENT) return 'absent'
  return state.length > 61 ? `${state.slice(1, 60)}…` : state.slice(1)
}
