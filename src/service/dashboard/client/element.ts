type Child = Node | string | undefined | false

/** Everything that is shown goes in as text: names of segments come from outside. */
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Readonly<Record<string, string | boolean | undefined>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name)
  for (const [attribute, value] of Object.entries(attributes))
    if (attribute === 'style') made.style.cssText = String(value)
    else if (value === true) made.setAttribute(attribute, '')
    else if (value !== undefined && value !== false) made.setAttribute(attribute, value)
  made.append(...children.filter((child) => child !== undefined && child !== false))
  return made
}

export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T
}

export function button(text: string, key: string, kind: string, onClick: () => void): HTMLButtonElement {
  const made = element('button', { type: 'button', class: kind, 'data-key': key }, text)
  made.addEventListener('click', onClick)
  return made
}

export function row(cells: readonly (Node | string)[], numbers: readonly number[] = []): HTMLTableRowElement {
  return element(
    'tr',
    {},
    ...cells.map((cell, i) =>
      i === 0
        ? element('th', { scope: 'row' }, cell)
        : element('td', { class: numbers.includes(i) ? 'number' : undefined }, cell),
    ),
  )
}

export function table(
  caption: string,
  heads: readonly string[],
  rows: readonly HTMLTableRowElement[],
  numbers: readonly number[] = [],
): HTMLTableElement {
  const head = element(
    'tr',
    {},
    ...heads.map((text, i) =>
      element('th', { scope: 'col', class: numbers.includes(i) ? 'number' : undefined }, text),
    ),
  )
  return element(
    'table',
    { 'aria-label': caption },
    element('thead', {}, head),
    element('tbody', {}, ...rows),
  )
}

const drawn = new WeakMap<HTMLElement, string>()

/** Draws anew only what is not as it was, and leaves the focus where it was. */
export function redraw(place: HTMLElement, of: unknown, build: () => readonly Child[]): void {
  const now = JSON.stringify(of) ?? ''
  if (drawn.get(place) === now) return
  drawn.set(place, now)
  const focused = document.activeElement
  const key = focused && place.contains(focused) ? focused.getAttribute('data-key') : null
  place.replaceChildren(...build().filter((child) => child !== undefined && child !== false))
  if (key !== null) place.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`)?.focus()
}
