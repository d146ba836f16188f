/** Resolves with the first SIGTERM or SIGINT. A second one of its kind ends the process at once, as ever. */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve)
  })
}
