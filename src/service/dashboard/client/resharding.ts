import type { DashboardState, PastState } from '../document'
import { button, byId, element, redraw, row, table } from './element'
import { bytes, count, fixed, lasting, moment } from './words'

export function drawResharding(
  { resharding: it, mayAct }: DashboardState,
  act: (path: string) => void,
): void {
  redraw(byId('moves'), [it, mayAct], () => {
    if (!it) return [element('p', { class: 'soft' }, 'None has been under way in this process.')]
    const under = it.phase !== 'done'
    const stop = button('Cancel', 'cancel', 'danger', () =>
      act(`reshardings/${encodeURIComponent(it.id)}/cancel`),
    )
    stop.disabled = !mayAct || it.phase === 'cancelling'
    const still = button(it.paused ? 'Go on' : 'Pause', 'pause', '', () =>
      act(it.paused ? 'reshardings/resume' : 'reshardings/pause'),
    )
    still.disabled = !mayAct
    return [
      element('p', {}, element('b', {}, it.paused && under ? 'paused' : it.phase), ` · ${it.reason}`),
      element('progress', {
        max: String(Math.max(1, it.segmentsTotal)),
        value: String(it.segmentsDone),
        'aria-label': `${it.segmentsDone} of ${it.segmentsTotal} segments`,
      }),
      element(
        'div',
        { class: 'figures' },
        element(
          'div',
          {},
          element('b', {}, `${count(it.segmentsDone)} of ${count(it.segmentsTotal)}`),
          element('span', {}, 'segments'),
        ),
        element(
          'div',
          {},
          element('b', {}, count(it.keysCopied)),
          element('span', {}, `keys, ${bytes(it.bytesCopied)}`),
        ),
        element(
          'div',
          {},
          element('b', {}, under ? `${count(it.keysPerSecond)}/s` : '–'),
          element('span', {}, 'keys'),
        ),
        element(
          'div',
          {},
          element('b', {}, under && it.etaMs !== undefined ? lasting(it.etaMs) : '–'),
          element('span', {}, 'left'),
        ),
      ),
      under &&
        it.pausedUntil !== undefined &&
        element(
          'p',
          { class: 'warn' },
          `waits for the maintenance window that opens ${moment(it.pausedUntil)}`,
        ),
      it.waitingFor.length > 0 &&
        element('p', { class: 'warn' }, `waits for ${it.waitingFor.join(', ')}, which does not answer`),
      it.moves.length > 0 &&
        element(
          'div',
          { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Moves' },
          table(
            'Moves',
            ['Segment', 'from', 'to', 'phase', 'keys', 'holds', 'retries'],
            it.moves.map((move) =>
              row(
                [
                  move.segment,
                  move.from === '' ? 'its bucket' : move.from,
                  move.to,
                  move.error === undefined
                    ? move.phase
                    : element('span', { class: 'bad' }, `${move.phase}: ${move.error}`),
                  count(move.keysCopied),
                  count(move.holds),
                  count(move.retries),
                ],
                [4, 5, 6],
              ),
            ),
            [4, 5, 6],
          ),
        ),
      it.more > 0 && element('p', { class: 'small soft' }, `${it.more} more.`),
      under && element('div', { class: 'actions' }, still, stop),
    ]
  })
}

/** `onBack` is given the resharding to go back behind. */
export function drawPast({ history, mayAct }: DashboardState, onBack: (past: PastState) => void): void {
  redraw(byId('past'), [history, mayAct], () => {
    if (history.length === 0)
      return [element('p', { class: 'soft' }, 'The one that the topology was founded with.')]
    const rows = history.map((past) => {
      const back = button('Go back behind it', `back ${past.id}`, '', () => onBack(past))
      return row(
        [
          moment(past.at),
          element(
            'span',
            {},
            past.reason,
            past.standing && element('span', { class: 'good small' }, ' newest that stands'),
          ),
          `${past.moved} moved${past.carved ? `, ${past.carved} carved` : ''}${past.merged ? `, ${past.merged} folded` : ''}`,
          fixed(past.confidence),
          back,
        ],
        [3],
      )
    })
    return [table('Finished reshardings', ['Ended', 'Why', 'What', 'confidence', ''], rows, [3])]
  })
}
