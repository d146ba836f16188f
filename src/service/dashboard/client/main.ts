import type { DashboardState, HeatDocument, OutlookDocument, PastState, PreviewDocument } from '../document'
import { follow, act as post, Refused, read, token } from './connection'
import { byId, element, row, table } from './element'
import { drawLog } from './event-lines'
import { drawHeat, redrawHeat } from './heat-map'
import { drawOutlook, redrawOutlook } from './outlook-chart'
import { drawRecommendations } from './recommendations'
import { drawPast, drawResharding } from './resharding'
import { drawShards, drawTiles } from './shards'

const RECONNECT_MS = 3_000
/** Forecasts and heat change with an interval; they are asked for again now and then. */
const OUTLOOK_EVERY_MS = 60_000
const TOAST_MS = 6_000

let stream: AbortController | undefined
let chosen = ''
let state: DashboardState | undefined

function draw(next: DashboardState): void {
  const first = state === undefined
  state = next
  document.title = byId('title').textContent = next.title
  const mode = byId('mode')
  mode.hidden = next.mode === undefined
  mode.textContent = `mode ${next.mode ?? ''}${next.mayAct ? '' : ', read only'}`
  drawTiles(next)
  drawShards(next)
  drawRecommendations(next, (path) => void act(path))
  drawResharding(next, (path) => void act(path))
  drawPast(next, (past) => void goBack(past))
  drawLog(next)
  choices(next.now.shards.map(({ shard }) => shard))
  if (first) void outlooks()
}

/** Shards, and the segments that the heat map shows. */
function choices(shards: readonly string[], segments?: readonly string[]): void {
  const select = byId<HTMLSelectElement>('of')
  const known = [...select.options].map(({ value }) => value)
  const wanted = [...shards, ...(segments ?? known.filter((value) => !shards.includes(value)))]
  if (wanted.join('\n') === known.join('\n')) return
  const before = select.value
  select.replaceChildren(...wanted.map((value) => element('option', { value }, value)))
  select.value = wanted.includes(before) ? before : (wanted[0] ?? '')
  chosen = select.value
}

async function outlooks(): Promise<void> {
  try {
    const heat = await read<HeatDocument>('heat')
    byId('heatCard').hidden = false
    drawHeat(heat, choose)
    choices(
      state?.now.shards.map(({ shard }) => shard) ?? [],
      heat.rows.map(({ segment }) => segment),
    )
    await outlook()
  } catch (error) {
    if (!(error instanceof Refused && error.status === 404)) failed(error)
  }
}

async function outlook(): Promise<void> {
  if (chosen === '') return
  const asked = chosen
  try {
    const document_ = await read<OutlookDocument>(`outlook?of=${encodeURIComponent(asked)}`)
    if (asked !== chosen) return
    byId('outlookCard').hidden = false
    drawOutlook(document_)
  } catch (error) {
    if (!(error instanceof Refused && error.status === 404)) failed(error)
  }
}

function choose(segment: string): void {
  const select = byId<HTMLSelectElement>('of')
  select.value = segment
  chosen = segment
  void outlook()
  select.scrollIntoView({ block: 'center' })
  select.focus()
}

async function act(path: string): Promise<void> {
  try {
    const { text } = await post(path)
    toast(text)
    draw(await read<DashboardState>('state'))
  } catch (error) {
    failed(error)
  }
}

/** What a rollback would move is shown before it is done. */
async function goBack(past: PastState): Promise<void> {
  const to = `rollback?to=${encodeURIComponent(past.id)}`
  try {
    const { moves, more, merges, impossible } = await read<PreviewDocument>(to)
    const nothing = moves.length + merges.length === 0
    byId('dialogTitle').textContent = nothing
      ? 'Everything is as it was then'
      : 'Back to the configuration before it'
    byId('dialogBody').replaceChildren(
      element('p', {}, past.reason),
      ...(impossible === undefined
        ? []
        : [element('p', { class: 'bad' }, `It cannot be had any more: ${impossible}.`)]),
      ...(moves.length > 0
        ? [
            table(
              'Moves of the rollback',
              ['Segment', 'from', 'to'],
              moves.map(({ segment, from, to }) => row([segment, from === '' ? 'its bucket' : from, to])),
            ),
          ]
        : []),
      ...(more > 0 ? [element('p', { class: 'soft' }, `${more} more.`)] : []),
      ...(merges.length > 0
        ? [element('p', {}, `Folded back into their buckets: ${merges.join(', ')}.`)]
        : []),
      ...(state?.mayAct ? [] : [element('p', { class: 'soft' }, 'Doing it takes a token that may act.')]),
    )
    byId<HTMLButtonElement>('dialogYes').disabled = nothing || impossible !== undefined || !state?.mayAct
    const dialog = byId<HTMLDialogElement>('dialog')
    dialog.returnValue = 'no'
    dialog.onclose = () => {
      if (dialog.returnValue === 'yes') void act(to)
    }
    dialog.showModal()
    byId('dialogNo').focus()
  } catch (error) {
    failed(error)
  }
}

let toasted = 0
function toast(text: string): void {
  const mine = ++toasted
  byId('toast').textContent = text
  setTimeout(() => {
    if (mine === toasted) byId('toast').textContent = ''
  }, TOAST_MS)
}

function failed(error: unknown): void {
  if (error instanceof Refused && error.status === 401) door(error.message)
  else toast(error instanceof Error ? error.message : String(error))
}

function link(text: string, kind: string): void {
  byId('link').textContent = text
  byId('link').className = `badge ${kind}`
}

/** Asks for a token. */
function door(complaint: string): void {
  stream?.abort()
  stream = undefined
  byId('main').hidden = true
  byId('leave').hidden = true
  byId('door').hidden = false
  byId('doorError').textContent = token.get() === '' ? '' : complaint
  link('no token', '')
  byId('token').focus()
}

async function live(): Promise<void> {
  const mine = new AbortController()
  stream = mine
  while (!mine.signal.aborted) {
    try {
      await follow<DashboardState>(
        'events',
        (next) => {
          byId('door').hidden = true
          byId('main').hidden = false
          byId('leave').hidden = token.get() === ''
          link('live', 'good')
          draw(next)
        },
        mine.signal,
      )
    } catch (error) {
      if (mine.signal.aborted) return
      if (error instanceof Refused && error.status === 401) return door(error.message)
      if (error instanceof Refused) toast(error.message)
    }
    link('away, trying again', 'bad')
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS))
  }
}

function dress(theme: string): void {
  document.documentElement.dataset.theme = theme
  byId('theme').textContent = theme === 'dark' ? 'Light' : 'Dark'
  redrawOutlook()
  redrawHeat(choose)
}

const dark = matchMedia('(prefers-color-scheme: dark)')
const preferred = () => sessionStorage.getItem('foreshard-theme') ?? (dark.matches ? 'dark' : 'light')
dark.addEventListener('change', () => dress(preferred()))
byId('theme').addEventListener('click', () => {
  sessionStorage.setItem(
    'foreshard-theme',
    document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark',
  )
  dress(preferred())
})
byId('leave').addEventListener('click', () => {
  token.forget()
  door('')
})
byId<HTMLFormElement>('door').addEventListener('submit', (event) => {
  event.preventDefault()
  token.set(byId<HTMLInputElement>('token').value.trim())
  byId<HTMLInputElement>('token').value = ''
  void live()
})
byId('of').addEventListener('change', () => {
  chosen = byId<HTMLSelectElement>('of').value
  void outlook()
})
addEventListener('resize', () => redrawOutlook())
setInterval(() => void (stream && state && outlooks()), OUTLOOK_EVERY_MS)
dress(preferred())
void live()
