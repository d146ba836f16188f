import type { DashboardState, RecommendationState } from '../document'
import { button, byId, element, redraw, row, table } from './element'
import { bytes, count, fixed, moment, share } from './words'

export function drawRecommendations(
  { recommendations, mode, mayAct }: DashboardState,
  act: (path: string) => void,
): void {
  redraw(byId('advice'), [recommendations, mode, mayAct], () => {
    if (mode === undefined)
      return [element('p', { class: 'soft' }, 'No rebalancer runs here, so nothing is recommended here.')]
    const [newest, ...older] = recommendations
    if (!newest)
      return [
        element(
          'p',
          { class: 'soft' },
          mode === 'observe'
            ? 'The mode is observe: accesses are recorded, no more.'
            : 'None so far. The events say why.',
        ),
      ]
    return [
      ...shown(newest, mayAct, act),
      older.length > 0 &&
        element(
          'details',
          {},
          element('summary', {}, `${older.length} before it`),
          ...older.map(({ at, state, moves, more, confidence, reason }) =>
            element(
              'p',
              { class: 'small' },
              `${moment(at)}, ${state}: ${moves.length + more} moves, confidence ${fixed(confidence)}. ${reason}`,
            ),
          ),
        ),
    ]
  })
}

const STATES: Readonly<Record<RecommendationState['state'], string>> = {
  open: 'open',
  accepted: 'accepted',
  refused: 'refused by the router',
  rejected: 'rejected',
  superseded: 'superseded by a later one',
}

function shown(it: RecommendationState, mayAct: boolean, act: (path: string) => void): (Node | false)[] {
  const { expected } = it
  const of = (what: string, before: string, after: string) =>
    element('div', {}, element('b', {}, `${before} → ${after}`), element('span', {}, what))
  return [
    element('p', {}, it.reason),
    element(
      'div',
      { class: 'figures' },
      element(
        'div',
        {},
        element('b', {}, fixed(it.confidence)),
        element('span', {}, 'confidence, all together'),
      ),
      of('busiest shard / mean', fixed(expected.imbalance.before), fixed(expected.imbalance.after)),
      of('across shards', share(expected.crossShard.before), share(expected.crossShard.after)),
      element(
        'div',
        {},
        element('b', {}, `${count(expected.keysMoved)} keys`),
        element('span', {}, `${bytes(expected.bytesMoved)} to copy`),
      ),
      element(
        'div',
        {},
        element('b', {}, fixed(expected.netGain, 3)),
        element('span', {}, 'J saved, all paid'),
      ),
    ),
    it.triggers.length > 0 && element('p', { class: 'small warn' }, `${it.triggers.join('; ')}.`),
    it.moves.length > 0 &&
      element(
        'div',
        { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Recommended moves' },
        table(
          'Recommended moves',
          ['Segment', 'from', 'to', 'confidence', 'why'],
          it.moves.map(({ segment, from, to, confidence, reason }) =>
            row([segment, from, to, confidence === undefined ? '–' : fixed(confidence), reason], [3]),
          ),
          [3],
        ),
      ),
    (it.more > 0 || it.merges > 0) &&
      element('p', { class: 'small soft' }, `${it.more} more moves, ${it.merges} tags to be folded back.`),
    it.state === 'open'
      ? element(
          'div',
          { class: 'actions' },
          ...[
            button('Accept', 'accept', 'main', () => act(`recommendations/${it.id}/accept`)),
            button('Reject', 'reject', '', () => act(`recommendations/${it.id}/reject`)),
          ].map((made) => {
            made.disabled = !mayAct
            if (!mayAct) made.title = 'takes a token that may act'
            return made
          }),
        )
      : element('p', { class: 'small soft' }, `${STATES[it.state]}, ${moment(it.at)}`),
  ]
}
